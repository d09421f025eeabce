"""The connector beside an example, and the apps that it polls."""

from datetime import datetime, timedelta, timezone

from parts import configuration, promoter_id

# Promoters have the same ids in both, so what joins or groups without the app takes one's for the other's.
APPS = ("wx_simulated", "wx_second")


def promoters(count):
    """Those of the simulated upstream, which gives each of its apps as many."""
    return [promoter_id(number) for number in range(1, count + 1)]


def start_connector(world, count, partitions, history_days, registry=None, apps=APPS[:1]):
    """One that polls so many promoters of each app from before their first fact on."""
    names = ", ".join(f'"{promoter}"' for promoter in promoters(count))
    first = datetime.now(timezone.utc) - timedelta(days=history_days + 1)
    config = configuration(world, "connector", partitions, f"promoters = [{names}]", start_from=first.isoformat(timespec="seconds"))
    for app in apps[1:]:
        config += f'[[apps]]\napp_id = "{app}"\nsecret = "simulated-secret"\nbase_url = "{world.upstream}"\npromoters = [{names}]\n'
    config += f'[schema_registry]\nurl = "{registry}"\n' if registry else ""
    (world.directory / "connector.toml").write_text(config)
    return world.connector("connector")
