"""The topic of results, as a stranger reads it."""

from pathlib import Path

from events import Progress
from framing import Schema
from topic import Topic

# The application.id of commissions.properties.
GROUP, RESULTS = "commissions", "promoter.commissions"


class Results(Topic):
    """The latest result of each key."""

    def __init__(self, bootstrap):
        super().__init__(bootstrap, RESULTS)
        self.schema = Schema(Path(__file__).resolve().parent / "src" / "main" / "avro" / "commission.avsc")
        self.days, self.progress = {}, Progress(bootstrap, GROUP)

    def close(self):
        self.progress.close()
        super().close()

    def take(self, message):
        fields = self.schema.read(message.value())
        key = message.key().decode()
        if key != f"{fields['app_id']}/{fields['promoter_openid']}/{fields['day']}":
            raise ValueError(f"the key {key} is not that of {fields}")
        self.days[key] = fields["commission"]
        self.count += 1

    def are_of(self, orders):
        return not self.progress.behind(orders)
