"""The processes of a check: the example itself, and a schema registry."""

import socket
import subprocess
from pathlib import Path

from parts import TARGET

HERE = Path(__file__).resolve().parent
APICURIO = "3.0.9"
# Small, and quick to start: they live for minutes.
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def build():
    subprocess.run(["mvn", "-q", "-B", "clean", "package"], cwd=HERE, check=True)


def free_ports(count):
    """Held all at once, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_java(world, name, main):
    """Also again: with the settings and the directory that it had."""
    classes = f"{HERE / 'target' / 'commissions.jar'}:{HERE / 'target' / 'lib'}/*"
    return world.start(name, *JAVA, "-cp", classes, main, world.directory / f"{name}.properties")


def commissions_settings(world, name, port, basis_points, registry):
    """Those that are shipped, with what is different here; of two lines with one key the later counts."""
    shipped = (HERE / "commissions.properties").read_text()
    own = {
        "bootstrap.servers": world.bootstrap,
        "application.server": f"127.0.0.1:{port}",
        "state.dir": world.directory / name,
        "commission.basis.points": basis_points,
        # Whoever is killed is missed sooner, for a run of minutes.
        "session.timeout.ms": 6000,
        **({"schema.registry.url": registry} if registry else {}),
    }
    lines = "".join(f"{key}={value}\n" for key, value in own.items())
    (world.directory / f"{name}.properties").write_text(shipped + lines)


class Registry:
    """Apicurio, which speaks the API of Confluent's registry; fetched once, below target/."""

    def __init__(self, world):
        home = TARGET / f"apicurio-{APICURIO}"
        if not home.exists():
            self.fetch(home)
        jar = home / f"apicurio-registry-app-{APICURIO}-runner.jar"
        options = ["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=0", "-Dapicurio.ccompat.use-canonical-hash=true"]
        # The line that tells the port is printed at this level.
        options += ['-Dquarkus.log.category."io.quarkus".level=INFO']
        child = world.start("registry", *JAVA, *options, "-jar", jar)
        self.url = child.wait_for(r"Listening on: (http://\S+)", 120) + "/apis/ccompat/v7"

    @staticmethod
    def fetch(home):
        # Later versions of the plugin fail on the parent of Apicurio's POM.
        get = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"
        archive, unpacked = home.with_suffix(".tar.gz"), home.with_suffix(".unpacked")
        artifact = f"io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all"
        subprocess.run(["mvn", "-q", "-B", get, "-Dtransitive=false", f"-Dartifact={artifact}", f"-Ddest={archive}"], check=True)
        unpacked.mkdir(exist_ok=True)
        subprocess.run(["tar", "xzf", archive, "-C", unpacked], check=True)
        # It has its name when it is whole.
        unpacked.rename(home)
