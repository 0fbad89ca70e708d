"""What the scripts beside this one share: the SDK's classes by REST name, sessions, and checks that name a promise."""

import importlib
import pkgutil

from bambou import NURESTObject
from bambou.exceptions import BambouHTTPError
from vspk import v6


def login(url, user="csproot", password="csproot", enterprise="csp", sdk=v6, **more):
    session = sdk.NUVSDSession(username=user, password=password, enterprise=enterprise, api_url=url, **more)
    session.start()
    return session


def check(promise, holds):
    if not holds:
        raise AssertionError(promise)
    print("ok", promise)


def answer(call):
    """The status and the internal code of a refusal, or None where there is none."""
    try:
        call()
    except BambouHTTPError as error:
        response = error.connection.response
        body = response.data if isinstance(response.data, dict) else {}
        return response.status_code, body.get("internalErrorCode")
    return None


def refused(promise, status, code, call):
    got = answer(call)
    check(f"{promise} {'' if got == (status, code) else got}".rstrip(), got == (status, code))


def classes():
    """The SDK's classes by REST name."""
    found = {}
    for module in pkgutil.iter_modules(v6.__path__):
        if not module.name.startswith("nu"):
            continue
        for value in vars(importlib.import_module(f"vspk.v6.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, NURESTObject) and value.__name__.lower() == module.name:
                found[value.rest_name] = value
    found.pop("None", None)
    return found
