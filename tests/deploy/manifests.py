"""What Kubernetes is given: rendered, read by its schemas, and held against what it has to say."""

import json
import subprocess

import kubernetes_validate
import yaml
from tools import HERE, KUBERNETES, Fault, output

NAME = "promoter-connector"
# All that the chart can be told, told otherwise than its defaults.
ALL_VALUES = HERE / "all-values.yaml"
KINDS = {"ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceMonitor", "StatefulSet"}
# Labels that only the chart sets.
OF_THE_CHART = {"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}


def rendered(tools, deploy):
    """By the name of each way to render it: the documents by their kinds."""
    chart = deploy / "helm" / NAME
    # A helm that Go has built from its module knows no version of Kubernetes by itself.
    version = f"--kube-version={KUBERNETES}"
    output(tools.helm, "lint", "--strict", version, chart)
    output(tools.helm, "lint", "--strict", version, chart, "--values", ALL_VALUES)
    texts = {
        "base": output(tools.kustomize, "build", deploy / "kubernetes" / "base"),
        "sidecar": output(tools.kustomize, "build", deploy / "kubernetes" / "sidecar"),
        "chart": output(tools.helm, "template", NAME, chart, version),
        "chart with all values": output(tools.helm, "template", "other", chart, version, "--values", ALL_VALUES),
    }
    return {way: by_kind(way, yaml.safe_load_all(text)) for way, text in texts.items()}


def by_kind(way, documents):
    documents = {document["kind"]: document for document in documents if document}
    if documents.keys() != KINDS:
        raise Fault(f"{way} has {sorted(documents)}")
    return documents


def must_be_valid(tools, way, documents):
    """By the schemas of Kubernetes, strictly: a field that it does not know is a fault."""
    for kind, document in documents.items():
        if kind == "ServiceMonitor":
            read = subprocess.run([tools.servicemonitor], input=json.dumps(document), capture_output=True, text=True)
            if read.returncode != 0:
                raise Fault(f"{way}: {kind}: {read.stdout.strip()}")
            continue
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Fault(f"{way}: {kind} {'.'.join(map(str, error.path))}: {error.message}") from error


def without_chart_labels(value):
    if isinstance(value, dict):
        return {key: without_chart_labels(item) for key, item in value.items() if key not in OF_THE_CHART}
    return [without_chart_labels(item) for item in value] if isinstance(value, list) else value


def must_be_the_same(base, chart):
    """The chart with its defaults is the base, but for its own labels, the configuration's comments and what Kubernetes sets anyhow."""
    for kind in KINDS - {"ConfigMap"}:
        one, other = without_chart_labels(base[kind]), without_chart_labels(chart[kind])
        if kind == "StatefulSet":
            one["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
        if one != other:
            raise Fault(f"the chart is another {kind} than the base:\n{json.dumps(one)}\n{json.dumps(other)}")


def connector_of(stateful_set):
    containers = stateful_set["spec"]["template"]["spec"]["containers"]
    return next(container for container in containers if container["name"] == "connector")


def probes_of(container):
    return {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}


def wanted(documents):
    """What has to be so, with what is so."""
    stateful_set, budget = documents["StatefulSet"]["spec"], documents["PodDisruptionBudget"]["spec"]
    pod, policy = stateful_set["template"]["spec"], documents["NetworkPolicy"]["spec"]
    labels = stateful_set["template"]["metadata"]["labels"].items()
    container = connector_of(documents["StatefulSet"])
    yield "podManagementPolicy", stateful_set.get("podManagementPolicy"), "Parallel"
    yield "serviceName", stateful_set["serviceName"], documents["Service"]["metadata"]["name"]
    yield "clusterIP of the Service", documents["Service"]["spec"].get("clusterIP"), "None"
    yield "terminationGracePeriodSeconds", pod.get("terminationGracePeriodSeconds"), 60
    yield "automountServiceAccountToken", pod.get("automountServiceAccountToken"), False
    yield "runAsNonRoot", pod["securityContext"].get("runAsNonRoot"), True
    for each in pod["containers"] + pod.get("initContainers", []):
        context = each.get("securityContext", {})
        yield f"readOnlyRootFilesystem of {each['name']}", context.get("readOnlyRootFilesystem"), True
        yield f"allowPrivilegeEscalation of {each['name']}", context.get("allowPrivilegeEscalation"), False
        yield f"capabilities of {each['name']}", context.get("capabilities"), {"drop": ["ALL"]}
        yield f"preStop of {each['name']}", each.get("lifecycle"), None
    paths = {name: probe["path"] for name, probe in probes_of(container).items()}
    yield "paths of the probes", paths, {"startupProbe": "/live", "livenessProbe": "/live", "readinessProbe": "/ready"}
    yield "ports of the probes", {probe["port"] for probe in probes_of(container).values()}, {"admin"}
    yield "port of the Service", documents["Service"]["spec"]["ports"][0]["targetPort"], "admin"
    yield "maxUnavailable", budget.get("maxUnavailable"), 1
    yield "unhealthyPodEvictionPolicy", budget.get("unhealthyPodEvictionPolicy"), "AlwaysAllow"
    yield "policyTypes", policy.get("policyTypes"), ["Ingress"]
    yield "ports of the NetworkPolicy", [rule["ports"][0]["port"] for rule in policy["ingress"]], ["admin"]
    yield "who may reach the port", all(rule.get("from") for rule in policy["ingress"]), True
    selectors = {
        "StatefulSet": stateful_set["selector"]["matchLabels"],
        "PodDisruptionBudget": budget["selector"]["matchLabels"],
        "NetworkPolicy": policy["podSelector"].get("matchLabels"),
        "Service": documents["Service"]["spec"]["selector"],
    }
    for kind, selector in selectors.items():
        yield f"whether the {kind} selects the pods", bool(selector) and selector.items() <= labels, True
    of_service = documents["Service"]["metadata"]["labels"].items()
    selector = documents["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    yield "whether the ServiceMonitor selects the Service", selector.items() <= of_service, True


def must_be_as_wanted(way, documents):
    for what, found, expected in wanted(documents):
        if found != expected:
            raise Fault(f"{way}: {what} is {found!r} and must be {expected!r}")
