"""What deploy/ promises, looked at in what kubectl and helm make of it. One function a promise; the first argument names it."""

import base64
import difflib
import json
import os
import re
import subprocess
import sys

import yaml

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../deploy")
BIN = os.path.dirname(sys.executable)
CHART = os.path.join(DEPLOY, "helm/nuage-cni")
KUSTOMIZATIONS = ["kubernetes", "openshift", "emulator", "harness"]
# The oldest and the newest release that validate; Jobs whose parts fail by themselves came with 1.28.
VERSIONS = {"kubernetes": ["1.25.0", "1.37.0"], "openshift": ["1.25.0", "1.37.0"], "emulator": ["1.25.0", "1.37.0"],
            "harness": ["1.28.0", "1.37.0"]}
# Of OpenShift; Kubernetes has no schema of it.
FOREIGN = "SecurityContextConstraints"


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def must(*command, stdin=None):
    code, out, err = run(*command, stdin=stdin)
    assert code == 0, f"{command}: {out}{err}"
    return out


def kustomized(name):
    return must("kubectl", "kustomize", os.path.join(DEPLOY, name))


def charted(*settings):
    return must(os.path.join(BIN, "helm"), "template", "nuage", CHART, "--namespace", "nuage-cni", *settings)


def objects(text):
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(text, kind):
    found = [one for one in objects(text) if one["kind"] == kind]
    assert len(found) == 1, f"{len(found)} of kind {kind}"
    return found[0]


def validate(text, versions, path):
    with open(path, "w") as file:
        file.write(text)
    for version in versions:
        code, out, err = run(os.path.join(BIN, "kubernetes-validate"), "--strict", "-k", version, path)
        told = out + err
        assert code == 0, told
        odd = [line for line in told.splitlines() if not line.startswith("INFO") and FOREIGN not in line]
        assert not odd, odd
        kinds = [one["kind"] for one in objects(text) if one["kind"] != FOREIGN]
        assert told.count("passed for resource") == len(kinds), told


def valid(scratch):
    for name in KUSTOMIZATIONS:
        validate(kustomized(name), VERSIONS[name], os.path.join(scratch, f"{name}.yaml"))
    for number, settings in enumerate([[], ["--set", "orchestrator=openshift"], EVERYTHING]):
        must(os.path.join(BIN, "helm"), "lint", "--strict", CHART, *settings)
        validate(charted(*settings), ["1.25.0", "1.37.0"], os.path.join(scratch, f"chart-{number}.yaml"))
    # A validator that finds nothing wrong with anything would pass all of the above.
    broken = kustomized("kubernetes").replace("hostNetwork: true", "hostNetwrok: true")
    path = os.path.join(scratch, "broken.yaml")
    with open(path, "w") as file:
        file.write(broken)
    assert run(os.path.join(BIN, "kubernetes-validate"), "--strict", path)[0] != 0


EVERYTHING = [
    "--set", "image.tag=v1,image.pullPolicy=Always,image.pullSecrets={one},apiServer=https://10.0.0.1:6443,firewall=false",
    "--set", "podNetworks={10.20.0.0/16,fd00::/48},cni.binDir=/usr/lib/cni,cni.confName=05-nuage.conf,cni.skip={loopback}",
    "--set", "readOnlyUsr=true,metrics.address=0.0.0.0,metrics.port=9999,vspSecret=mine,priorityClassName=",
    "--set", "node.logformat=json,podAnnotations.a=b,vsp.podMaySet={subnet}",
]


def plain(text):
    """What two ways of making the same may differ in is taken out: hashes, where a Secret's text stands, and order."""
    made = {}
    for one in objects(text):
        if one["kind"] == "Namespace":
            continue
        name = re.sub(r"-[a-z0-9]{10}$", "", one["metadata"]["name"])
        one["metadata"] = {"labels": one["metadata"].get("labels", {})}
        if one["kind"] == "Secret":
            data = {key: base64.b64decode(value).decode() for key, value in one.get("data", {}).items()}
            one = {key: yaml.safe_load(value) for key, value in {**data, **one.get("stringData", {})}.items()}
        elif one["kind"] == "ConfigMap":
            one = {key: yaml.safe_load(value) for key, value in one["data"].items()}
        elif one["kind"] == "DaemonSet":
            pod = one["spec"]["template"]
            pod["metadata"].get("annotations", {}).pop("checksum/config", None)
            if not pod["metadata"].get("annotations"):
                pod["metadata"].pop("annotations", None)
            spec = pod["spec"]
            spec["volumes"].sort(key=lambda volume: volume["name"])
            spec["containers"][0]["volumeMounts"].sort(key=lambda mount: mount["mountPath"])
            spec["containers"][0]["env"].sort(key=lambda variable: variable["name"])
            one = json.loads(re.sub(r"(nuage-cni(-vsp)?)-[a-z0-9]{10}\"", r'\1"', json.dumps(one)))
        made[name, one.get("kind", "data")] = one
    return made


def same(_):
    openshift = ["--set", "orchestrator=openshift,vsp.enterpriseName=Openshift-Enterprise,vsp.domainName=Openshift-Domain"]
    openshift += ["--set", "vsp.vsdUser=ose-admin"]
    for name, settings in [("kubernetes", []), ("openshift", openshift)]:
        one, other = plain(kustomized(name)), plain(charted(*settings))
        assert one.keys() == other.keys(), (one.keys(), other.keys())
        for key, value in one.items():
            texts = [json.dumps(one, indent=1, sort_keys=True).splitlines() for one in [value, other[key]]]
            assert value == other[key], "\n".join(difflib.unified_diff(*texts, f"{name} {key}", "the chart", n=1))


def refused(_):
    wrong = ["orchestrator=mesos", "frob=1", "apiServer=http://plain", "podNetworks={10.0.0.0}", "node.mtu=-1", "node.mtv=1",
             "vsp.nuageMonRestServer=http://plain", "vsp.podMaySet={everything}", "metrics.port=0", "cni.confName=../x.conf"]
    for setting in wrong:
        code, out, err = run(os.path.join(BIN, "helm"), "template", "nuage", CHART, "--set", setting)
        assert code != 0 and "values don't meet the specifications" in err, (setting, out[:200], err)
    assert run(os.path.join(BIN, "helm"), "template", "nuage", CHART, *EVERYTHING)[0] == 0


def constrained(_):
    text = kustomized("openshift")
    scc, daemonset = of_kind(text, FOREIGN), of_kind(text, "DaemonSet")
    pod = daemonset["spec"]["template"]
    assert pod["metadata"]["annotations"]["openshift.io/required-scc"] == scc["metadata"]["name"]
    account = f"system:serviceaccount:{daemonset['metadata']['namespace']}:{pod['spec']['serviceAccountName']}"
    assert scc["users"] == [account], scc["users"]
    [container] = pod["spec"]["containers"]
    asked = container["securityContext"]
    assert sorted(scc["allowedCapabilities"]) == sorted(asked["capabilities"]["add"])
    assert scc["requiredDropCapabilities"] == asked["capabilities"]["drop"] == ["ALL"]
    for allows, asks in [("allowPrivilegedContainer", asked.get("privileged", False)),
                         ("allowPrivilegeEscalation", asked["allowPrivilegeEscalation"]),
                         ("readOnlyRootFilesystem", asked["readOnlyRootFilesystem"]),
                         ("allowHostNetwork", pod["spec"].get("hostNetwork", False)),
                         ("allowHostPID", pod["spec"].get("hostPID", False)),
                         ("allowHostIPC", pod["spec"].get("hostIPC", False)),
                         ("allowHostPorts", bool(container.get("ports"))),
                         ("allowHostDirVolumePlugin", any("hostPath" in volume for volume in pod["spec"]["volumes"]))]:
        assert scc[allows] == asks, allows
    kinds = {key for volume in pod["spec"]["volumes"] for key in volume if key != "name"}
    assert kinds <= set(scc["volumes"]) and "*" not in scc["volumes"], kinds


def restricted(_):
    """Pod Security Standards, profile restricted; and nothing of the cluster's in reach."""
    for name, kind in [("emulator", "Deployment"), ("harness", "Job")]:
        text = kustomized(name)
        assert of_kind(text, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        spec = of_kind(text, kind)["spec"]["template"]["spec"]
        [container] = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not spec["automountServiceAccountToken"]
        assert not any("hostPath" in volume for volume in spec.get("volumes", []))
        assert not spec.get("hostNetwork") and not spec.get("hostPID")
    text = kustomized("emulator")
    assert not any(one["kind"] == "Secret" for one in objects(text)), "no secret stands in a manifest"
    policy, deployment = of_kind(text, "NetworkPolicy"), of_kind(text, "Deployment")
    assert policy["spec"]["egress"] == [] and sorted(policy["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    served = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in of_kind(text, "Service")["spec"]["ports"]} == served
    assert {port["port"] for port in policy["spec"]["ingress"][0]["ports"]} == served


def versions(_):
    with open(os.path.join(DEPLOY, "../Cargo.toml")) as file:
        version = re.search(r'^version = "(.*)"$', file.read(), re.MULTILINE)[1]
    with open(os.path.join(CHART, "Chart.yaml")) as file:
        chart = yaml.safe_load(file)
    assert chart["version"] == chart["appVersion"] == version
    for name in ["kubernetes", "emulator", "harness"]:
        with open(os.path.join(DEPLOY, name, "kustomization.yaml")) as file:
            assert [image["newTag"] for image in yaml.safe_load(file)["images"]] == [version], name


def show(_):
    """Everything as JSON, for whoever runs what a manifest says."""
    print(json.dumps({name: objects(kustomized(name)) for name in KUSTOMIZATIONS}))


if __name__ == "__main__":
    {check.__name__: check for check in [valid, same, refused, constrained, restricted, versions, show]}[sys.argv[1]](sys.argv[2])
