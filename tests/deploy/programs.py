"""What is told to the connector: its configuration, its flags and the paths of its probes, asked of the connector itself."""

import http.client
import os
import shlex
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

from manifests import connector_of, probes_of
from tools import Fault, output

# The keys of the Secret that the manifests tell people to make.
SECRETS = ("wx-secret", "kafka-password")


def configuration_of(way, documents, directory):
    """Lays the files out as the pod mounts them, and gives the configuration's path and the container's environment."""
    stateful_set, files = documents["StatefulSet"], documents["ConfigMap"]["data"]
    volumes = {volume["name"]: volume for volume in stateful_set["spec"]["template"]["spec"]["volumes"]}
    container = connector_of(stateful_set)
    for mount in container["volumeMounts"]:
        place, volume = directory / mount["mountPath"].lstrip("/"), volumes[mount["name"]]
        place.mkdir(parents=True)
        if "configMap" in volume:
            if volume["configMap"]["name"] != documents["ConfigMap"]["metadata"]["name"]:
                raise Fault(f"{way}: the pod mounts another ConfigMap than there is")
            for name, text in files.items():
                (place / name).write_text(text)
        elif "secret" in volume:
            for name in SECRETS:
                (place / name).write_text("secret\n")
    environment = {
        variable["name"]: variable.get("value", f"{stateful_set['metadata']['name']}-0") for variable in container["env"]
    }
    return directory / environment["PROMOTER_CONFIG"].lstrip("/"), environment


def must_be_a_configuration(tools, way, documents):
    with tempfile.TemporaryDirectory() as directory:
        path, environment = configuration_of(way, documents, Path(directory))
        if not path.exists():
            raise Fault(f"{way}: PROMOTER_CONFIG names no file that is mounted")
        check_offline(tools, way, path, environment)
        settings = tomllib.loads(path.read_text())
    container = connector_of(documents["StatefulSet"])
    port = next(port["containerPort"] for port in container["ports"] if port["name"] == "admin")
    wanted = {
        "admin.listen": (settings["admin"].get("listen"), f"0.0.0.0:{port}"),
        "connector.instance_id": (settings["connector"].get("instance_id"), "${POD_NAME}"),
        "kafka session.timeout.ms": (settings["kafka"].get("session.timeout.ms"), 45000),
    }
    for key, (found, expected) in wanted.items():
        if found != expected:
            raise Fault(f"{way}: {key} is {found!r} and must be {expected!r}")


def check_offline(tools, way, path, environment):
    try:
        output(tools.connector, "check", "--offline", "--config", path, env={"PATH": os.environ["PATH"], **environment})
    except Fault as fault:
        raise Fault(f"{way}: {fault}") from fault


def must_be_a_command(tools, what, arguments):
    """Every command and flag exists: the program itself reads them, and then only tells how they are used."""
    try:
        output(tools.connector, *arguments, "--help")
    except Fault as fault:
        raise Fault(f"{what}: {shlex.join(arguments)}: {fault}") from fault


def answers(tools, paths):
    """The status of each path at a connector that runs, without brokers."""
    with tempfile.TemporaryDirectory() as directory:
        path, log = Path(directory) / "connector.toml", Path(directory) / "log"
        text = 'kafka."bootstrap.servers" = "127.0.0.1:1"\nadmin.listen = "127.0.0.1:0"\nlog.format = "json"\n'
        path.write_text(text + '[[apps]]\napp_id = "wx1"\nsecret = "s"\nbase_url = "http://127.0.0.1:1"\npromoters = ["o1"]\n')
        with open(log, "wb") as file:
            process = subprocess.Popen([tools.connector, "run", "--config", path], stderr=file)
        try:
            address = admin_address(process, log)
            return {path: status(address, path) for path in paths}
        finally:
            process.terminate()
            process.wait(30)


def admin_address(process, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if '"address":"' in line:
                return line.split('"address":"')[1].split('"')[0]
        time.sleep(0.05)
    raise Fault(f"the connector does not listen:\n{log.read_text()}")


def status(address, path):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().status


def must_be_answered(tools, ways):
    """No probe, and no scrape, may ask for what is not there."""
    paths = {endpoint["path"] for way in ways.values() for endpoint in way["ServiceMonitor"]["spec"]["endpoints"]}
    paths |= {probe["path"] for way in ways.values() for probe in probes_of(connector_of(way["StatefulSet"])).values()}
    # 503 is an answer: it has no brokers.
    wrong = {path: found for path, found in answers(tools, paths).items() if found not in (200, 503)}
    if wrong:
        raise Fault(f"the connector answers {wrong}")
