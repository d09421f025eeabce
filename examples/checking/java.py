"""Programs in Java beside an example, and a schema registry."""

import socket
import subprocess

from parts import TARGET

APICURIO = "3.0.9"


def maven(*arguments, cwd=None):
    """Says what it has said where it fails only: quiet and without colours it still writes their codes."""
    command = ["mvn", "-q", "-B", "-Dstyle.color=never", *arguments]
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")


def java(world):
    """Small, and quick to start: they live for minutes. What they unpack goes with the run, for who is killed leaves it behind."""
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={world.temporary}"]


def free_ports(count):
    """Held all at once, so that no two are the same."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


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
        child = world.start("registry", *java(world), *options, "-jar", jar)
        self.url = child.wait_for(r"Listening on: (http://\S+)", 120) + "/apis/ccompat/v7"

    @staticmethod
    def fetch(home):
        # Later versions of the plugin fail on the parent of Apicurio's POM.
        get = "org.apache.maven.plugins:maven-dependency-plugin:2.8:get"
        archive, unpacked = home.with_suffix(".tar.gz"), home.with_suffix(".unpacked")
        artifact = f"io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all"
        maven(get, "-Dtransitive=false", f"-Dartifact={artifact}", f"-Ddest={archive}")
        unpacked.mkdir(exist_ok=True)
        subprocess.run(["tar", "xzf", archive, "-C", unpacked], check=True)
        # It has its name when it is whole.
        unpacked.rename(home)
