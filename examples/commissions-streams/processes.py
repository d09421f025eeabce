"""The processes of the example."""

from pathlib import Path

from java import java, maven

HERE = Path(__file__).resolve().parent


def build():
    maven("clean", "package", cwd=HERE)


def start_java(world, name, main):
    """Also again: with the settings and the directory that it had."""
    classes = f"{HERE / 'target' / 'commissions.jar'}:{HERE / 'target' / 'lib'}/*"
    return world.start(name, *java(world), "-cp", classes, main, world.directory / f"{name}.properties")


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
