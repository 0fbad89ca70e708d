"""Nuage's own Python client with a certificate instead of a password. Usage: certificate.py URL CERTIFICATE KEY STRANGER KEY"""

import sys

import urllib3
from sdk import check, login
from vspk import v6 as vspk

# The client never verifies; that is its own affair.
urllib3.disable_warnings()
url, certificate, key, stranger, stranger_key = sys.argv[1:]
session = login(url, password=None, certificate=(certificate, key))
check("the certificate is the user", session.user.user_name == "csproot" and session.user.role == "CSPROOT")
enterprise = vspk.NUEnterprise(name="acme")
session.user.create_child(enterprise)
check("it makes objects", enterprise.id in [found.id for found in session.user.enterprises.get()])
enterprise.delete()
try:
    login(url, password=None, certificate=(stranger, stranger_key))
except Exception as error:
    check("nobody is nobody", "401" in str(error))
else:
    raise AssertionError("a user that is not known came in")
