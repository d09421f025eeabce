"""The connector beside an example."""

from datetime import datetime, timedelta, timezone

from parts import configuration, promoter_id


def promoters(count):
    """Those of the simulated upstream."""
    return [promoter_id(number) for number in range(1, count + 1)]


def start_connector(world, count, partitions, history_days, registry=None):
    """One that polls so many promoters from before their first fact on."""
    names = ", ".join(f'"{promoter}"' for promoter in promoters(count))
    first = datetime.now(timezone.utc) - timedelta(days=history_days + 1)
    config = configuration(world, "connector", partitions, f"promoters = [{names}]", start_from=first.isoformat(timespec="seconds"))
    config += f'[schema_registry]\nurl = "{registry}"\n' if registry else ""
    (world.directory / "connector.toml").write_text(config)
    return world.connector("connector")
