"""A node, as deploy/kubernetes and deploy/openshift want it: the container of the DaemonSet with the mounts, capabilities, environment
and probes of its manifest, beside an emulated site, in a network and with mounts of its own. What asks the API server is let through
by the manifest's ClusterRole and nobody else. Usage: node.py EXECUTABLES SCRATCH NAME < manifests.json, in namespaces of its own.
"""

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

EXECUTABLES, SCRATCH, NAME = sys.argv[1:4]
HOST, ROOT, SITE = (os.path.join(SCRATCH, part) for part in ["host", "container", "host/run/site"])
OPENSHIFT = NAME == "openshift"
# The test's executables are not static, as the shipped ones are: they find their libraries there.
LIBRARIES = [path for path in ["/lib", "/lib64", "/usr/lib"] if os.path.isdir(path)]
PATIENCE = 60
# Rights that this story gives no reason to use.
OPTIONAL = {("events", "create")}
# What a cluster lets everybody ask who has a token (its role system:public-info-viewer).
PUBLIC = {"/version"}
# What a probe was told last.
PROBED = {}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def mount(source, target, *options):
    os.makedirs(target, exist_ok=True)
    run("mount", *options, source, target)


def until(what, found):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


class Rights:
    """What a ClusterRole lets whom do, and what of it was used."""

    def __init__(self, role):
        self.rules = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
        self.used, self.denied = set(), []

    def asked(self, method, path):
        place, _, query = path.partition("?")
        found = re.fullmatch(r"/api/v1(?:/namespaces/[^/]+(?=/))?/([a-z]+)(/[^/]+)?", place)
        resource = found[1] if found else place
        verb = {"GET": "get" if found and found[2] else "list", "POST": "create", "PATCH": "patch"}.get(method, method)
        return resource, "watch" if "watch=true" in query else verb

    def allow(self, method, path):
        if method == "GET" and path in PUBLIC:
            return True
        asked = self.asked(method, path)
        (self.used.add if asked in self.rules else self.denied.append)(asked)
        return asked in self.rules


def api_server(rights, upstream, authority, certificate):
    """An API server before the emulated one, with the rights that the emulated one does not know."""
    trust = ssl.create_default_context(cafile=authority)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def forward(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if not rights.allow(self.command, self.path):
                self.answer(403, json.dumps({"kind": "Status", "code": 403, "reason": "Forbidden"}).encode())
                return
            headers = {name: self.headers[name] for name in ["authorization", "accept"] if self.headers[name]}
            request = urllib.request.Request(upstream + self.path, data=body or None, headers=headers, method=self.command)
            try:
                with urllib.request.urlopen(request, context=trust) as answer:
                    if "watch=true" in self.path:
                        self.stream(answer)
                    else:
                        self.answer(answer.status, answer.read())
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read())

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = forward

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def stream(self, answer):
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            while line := answer.readline():
                self.wfile.write(line)
                self.wfile.flush()

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Whoever goes away in the middle of a watch is no error."""

    server = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def make_host():
    folders = ["run/netns", "etc/cni/net.d", "etc/default", "opt/cni/bin", "usr/share", "var/lib", "var/log", "proc", "dev", "tmp"]
    for folder in folders + (["run/multus/cni/net.d"] if OPENSHIFT else []):
        os.makedirs(os.path.join(HOST, folder))
    # As on hosts: a container that follows it by itself gets into its own /run.
    os.symlink("/run", os.path.join(HOST, "var/run"))
    if OPENSHIFT:
        open(os.path.join(HOST, "run/ostree-booted"), "w").close()
    with open(os.path.join(HOST, "etc/cni/net.d/99-others.conf"), "w") as file:
        file.write('{"cniVersion":"1.0.0","name":"others","type":"bridge"}')
    # Whatever is mounted on the host later reaches the containers that want it.
    mount(HOST, HOST, "--bind")
    mount("none", HOST, "--make-rshared")
    for library in LIBRARIES:
        mount(library, HOST + library, "--rbind")
    mount("/proc", HOST + "/proc", "--bind")
    mount("/dev", HOST + "/dev", "--rbind")


def start_site():
    run("ip", "link", "set", "lo", "up")
    log = open(os.path.join(SCRATCH, "emulator.log"), "w")
    command = [os.path.join(EXECUTABLES, "emulator"), "up", "--dir", SITE]
    site = subprocess.Popen(command, stdout=log, stderr=log)
    until("the emulator is ready", lambda: "ready" in open(log.name).read().split())
    os.makedirs(os.path.join(HOST, "run/openvswitch"))
    os.symlink("../site/node/db.sock", os.path.join(HOST, "run/openvswitch/db.sock"))
    with open(os.path.join(SITE, "endpoints.json")) as file:
        return site, json.load(file)


def service_account(directory, token):
    """What the manifest's projected volume has."""
    os.makedirs(directory)
    key = os.path.join(SCRATCH, "api.pem")
    names = "subjectAltName=IP:127.0.0.1"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=api",
        "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", os.path.join(directory, "ca.crt"))
    with open(key, "a") as file, open(os.path.join(directory, "ca.crt")) as certificate:
        file.write(certificate.read())
    with open(os.path.join(directory, "token"), "w") as file:
        file.write(token)
    return key


def environment(container, objects, port):
    """The container's variables as a kubelet makes them."""
    known = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port),
             "PATH": "/opt/cni/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    content = {one["metadata"]["name"]: one for one in objects if one["kind"] in ["ConfigMap", "Secret"]}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "spec.nodeName"
            value = "node-1"
        elif source:
            [(kind, reference)] = source.items()
            value = content[reference["name"]]["data"][reference["key"]]
            if kind == "secretKeyRef":
                value = base64.b64decode(value).decode()
        else:
            value = re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], variable["value"])
        known[variable["name"]] = value
    return known


def container_script(spec, container, account):
    """Makes the container's mounts, and becomes it: bash, in a mount namespace of its own."""
    lines = ["set -e", "mount --make-rslave /", f"mount --bind {ROOT} {ROOT}"]
    for library in LIBRARIES:
        lines.append(f"mkdir -p {ROOT}{library}; mount --rbind {library} {ROOT}{library}")
    lines.append(f"mkdir -p {ROOT}/proc; mount --rbind /proc {ROOT}/proc")
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for wanted in sorted(container["volumeMounts"], key=lambda one: one["mountPath"].count("/")):
        volume, target = volumes[wanted["name"]], ROOT + wanted["mountPath"]
        if "projected" in volume:
            source = account
        else:
            assert set(volume["hostPath"]) == {"path", "type"}
            source = HOST + volume["hostPath"]["path"].rstrip("/")
            if volume["hostPath"]["type"] == "DirectoryOrCreate":
                os.makedirs(source, exist_ok=True)
            assert os.path.isdir(source), source
        how = "rslave" if wanted.get("mountPropagation") == "HostToContainer" else "rprivate"
        lines.append(f"mkdir -p {target}; mount --rbind {source} {target}; mount --make-{how} {target}")
        if wanted.get("readOnly"):
            lines.append(f"mount -o remount,bind,ro {target}")
    wanted = container["securityContext"]
    assert wanted["readOnlyRootFilesystem"] and not wanted["allowPrivilegeEscalation"] and wanted["runAsUser"] == 0
    lines.append(f"mount -o remount,bind,ro {ROOT}")
    assert wanted["capabilities"]["drop"] == ["ALL"]
    added = ",".join(f"+{name.lower()}" for name in wanted["capabilities"]["add"])
    lines.append(f"exec setpriv --no-new-privs --bounding-set=-all,{added} --inh-caps=-all chroot {ROOT} " + '"$@"')
    return "\n".join(lines)


def probe(container, name):
    wanted = container[name]["httpGet"]
    try:
        with urllib.request.urlopen(f"http://{wanted['host']}:{wanted['port']}{wanted['path']}", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        PROBED[name] = error.read().decode()
    except (urllib.error.URLError, OSError) as error:
        PROBED[name] = str(error)
    return False


class Node:
    """What a runtime and a person do on the host."""

    def __init__(self, endpoints, bin_dir, net_dir):
        self.endpoints, self.bin_dir, self.net_dir = endpoints, bin_dir, net_dir
        with open(os.path.join(SITE, "admin.kubeconfig")) as file:
            self.token = yaml.safe_load(file)["users"][0]["user"]["token"]

    def create(self, kind, manifest, namespace=None):
        path = f"/api/v1/namespaces/{namespace}/{kind}" if namespace else f"/api/v1/{kind}"
        request = urllib.request.Request(self.endpoints["kube"] + path, data=json.dumps(manifest).encode(), method="POST")
        request.add_header("authorization", f"Bearer {self.token}")
        request.add_header("content-type", "application/json")
        trust = ssl.create_default_context(cafile=os.path.join(SITE, "pki/ca.pem"))
        return json.load(urllib.request.urlopen(request, context=trust))

    def call(self, verb, namespace, pod):
        """One call of the plugin, as the configuration on the host has it, with the host's files."""
        names = [name for name in os.listdir(HOST + self.net_dir) if "nuage" in name]
        assert len(names) == 1, names
        with open(os.path.join(HOST + self.net_dir, names[0])) as file:
            config = json.load(file)
        plugin = {"cniVersion": "1.0.0", "name": config["name"], **config["plugins"][0]}
        environment = {"CNI_COMMAND": verb, "CNI_CONTAINERID": f"sandbox-{pod}", "CNI_NETNS": f"/run/netns/{pod}",
                       "CNI_IFNAME": "eth0", "CNI_PATH": self.bin_dir,
                       "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod}"}
        command = ["chroot", HOST, os.path.join(self.bin_dir, plugin["type"])]
        done = subprocess.run(command, input=json.dumps(plugin), capture_output=True, text=True, env={**os.environ, **environment})
        return done.returncode, json.loads(done.stdout or "{}")

    def namespace(self, pod):
        path = os.path.join(HOST, "run/netns", pod)
        open(path, "w").close()
        run("unshare", f"--net={path}", "true")


def check_pods(node, container):
    node.create("namespaces", {"kind": "Namespace", "metadata": {"name": "other"}})
    for namespace, pod, labels in [("default", "web", {}), ("other", "thief", {"nuage.io/zone": "default"})]:
        node.create("pods", {"kind": "Pod", "metadata": {"name": pod, "labels": labels}, "spec": {"nodeName": "node-1"},
                             "status": {"phase": "Running"}}, namespace)
        node.namespace(pod)
    code, result = node.call("ADD", "default", "web")
    assert code == 0 and result["ips"][0]["address"].startswith("10.20.0."), result
    code, result = node.call("ADD", "other", "thief")
    assert code == 1 and "belongs to the namespace" in json.dumps(result), result
    until("the audit is content with a pod that lives", lambda: probe(container, "readinessProbe"))
    for pod, namespace in [("web", "default"), ("thief", "other")]:
        assert node.call("DEL", namespace, pod) == (0, {})


def main():
    objects = json.load(sys.stdin)[NAME]
    of_kind = {one["kind"]: one for one in objects}
    spec = of_kind["DaemonSet"]["spec"]["template"]["spec"]
    [container] = spec["containers"]
    rights = Rights(of_kind["ClusterRole"])
    assert spec["hostNetwork"], "it shares this network with the emulator"
    make_host()
    site, endpoints = start_site()
    account = os.path.join(SCRATCH, "account")
    with open(os.path.join(SITE, "node/nuage.kubeconfig")) as file:
        certificate = service_account(account, yaml.safe_load(file)["users"][0]["user"]["token"])
    port = api_server(rights, endpoints["kube"], os.path.join(SITE, "pki/ca.pem"), certificate)
    # The image.
    os.makedirs(os.path.join(ROOT, "opt/cni/bin"))
    for name in ["nuage-cni-install", "nuage-audit", "nuage-cni-k8s", "nuage-cni-openshift", "nuage-cni-mesos", "loopback"]:
        run("cp", os.path.join(EXECUTABLES, name), os.path.join(ROOT, "opt/cni/bin", name))
    variables = environment(container, objects, port)
    script = container_script(spec, container, account)
    log = open(os.path.join(SCRATCH, "container.log"), "w")
    command = ["unshare", "--mount", "--propagation", "unchanged", "bash", "-c", script, "container"]
    command += [f"/opt/cni/bin/{container['command'][0]}", *container["command"][1:]]
    # With the audit that it starts, in a group of their own: after a failure both are ended.
    running = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        def alive():
            assert running.poll() is None, open(log.name).read()
            return probe(container, "startupProbe")
        until("the container is alive", alive)
        until("the container is ready", lambda: probe(container, "readinessProbe"))
        node = Node(endpoints, variables["CNI_BIN_DIR"], variables["CNI_NET_DIR"])
        assert os.path.exists(os.path.join(HOST, "etc/cni/net.d/99-others.conf"))
        assert os.stat(os.path.join(HOST, "var/lib/nuage-cni")).st_mode & 0o777 == 0o700
        if not OPENSHIFT:
            check_pods(node, container)
            assert rights.rules - OPTIONAL <= rights.used, f"used {sorted(rights.used)} of {sorted(rights.rules)}"
        assert rights.denied == [], rights.denied
        running.send_signal(signal.SIGTERM)
        assert running.wait(spec["terminationGracePeriodSeconds"]) == 0
        assert any("nuage" in name for name in os.listdir(HOST + node.net_dir)), "pods go on to start while it is away"
    except BaseException:
        print(open(log.name).read(), PROBED)
        raise
    finally:
        try:
            os.killpg(running.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if site.poll() is None:
            site.kill()
        for process in [running, site]:
            process.wait()


main()
