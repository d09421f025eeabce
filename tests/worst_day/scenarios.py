"""What may go wrong: how the harm is done, what must be told of it, and how it ends."""

import json
import re
import signal

from day import APP, DATA, NAMES, PARTITIONS, PROMOTERS, SECONDS, SESSION, Day, faketime
from parts import promoter_id

# What nobody but the upstream can know, in its own words.
ADDRESS = "203.0.113.7"
HOUR = 3600
UNAUTHORISED = 300
GARBAGE = [b"\xff\xfe\x00 nothing that anybody has written on purpose", b'{"app_id": 1}', b"[]"]


def refusal(code, text):
    rid = "65f0c2a1-1b2c3d4e-0a1b2c3d"
    return json.dumps({"errcode": code, "errmsg": f"{text} rid: {rid}"}).encode()


class Scenario:
    """One of the ways in which a day goes bad. Patterns are searched for; the upstream's own words stand in them."""

    # A cause of the status, what its text says, and what it says is to be done.
    code = ""
    text = ""
    action = ""
    # Of the command explain, and of status where that tells it: it tells what stands in Kafka, whoever runs, and nothing of the upstream.
    explain = ""
    status = ""
    log = ""
    metric = ""
    # Names and labels of the alerts that call somebody; none where nobody is to be called.
    alerts = ()
    # Causes of what follows from it, beside notes: all others would lead astray.
    besides = ()
    # Whom all of it concerns.
    instances = NAMES
    promoter = promoter_id(1)
    # How long it lasts at least, in seconds: so long no other alert may come.
    lasts = 10
    # Whose log tells it; all of the above where none is named.
    logged_by = ()

    def prepare(self, day: Day):
        """Before the harm, and not counted."""

    def harm(self, day: Day):
        raise NotImplementedError

    def end(self, day: Day):
        raise NotImplementedError

    def leave(self, day: Day):
        """After all is well again, and not counted."""


class Refused(Scenario):
    """The upstream answers something in place of what it would."""

    def instead(self, path, body):
        raise NotImplementedError

    def harm(self, day):
        day.upstream.instead = self.instead

    def end(self, day):
        day.upstream.instead = lambda path, body: None


class WechatAway(Refused):
    """WeChat takes connections and answers nothing."""

    code, text = "interface_held_transport", r"time|answer"
    action = r"the way to the upstream"
    explain = r"interface_held_transport.*the way to the upstream"
    log = r"breaker of the (app|interface) opens.*(time|answer)"
    metric = 'promoter_connector_interface_held{reason="transport"} == 1'
    alerts = ({"alertname": "PromoterConnectorLate"},)

    def harm(self, day):
        self.day = day
        day.let_go.clear()
        super().harm(day)

    def instead(self, path, body):
        self.day.let_go.wait()
        return refusal(-1, "system error")

    def end(self, day):
        super().end(day)
        day.let_go.set()


class IpNotAllowed(Refused):
    """The address from which it is called was taken off the app's allow-list."""

    code, text, action = "app_stopped_ip", re.escape(ADDRESS), r"add the address that the text names"
    explain = rf"app_stopped_ip.*40164.*{re.escape(ADDRESS)}.*rid.*add the address"
    log = rf"app is stopped.*40164.*{re.escape(ADDRESS)}.*rid"
    metric = 'promoter_connector_app_stopped{reason="ip"} == 1'
    alerts = ({"alertname": "PromoterConnectorAppStopped", "reason": "ip"},)

    def instead(self, path, body):
        return refusal(40164, f"invalid ip {ADDRESS} ipv6 ::ffff:{ADDRESS}, not in whitelist")


class QuotaSpent(Refused):
    """All calls of the day are spent, at noon."""

    code, text, action = "interface_held_quota", r"daily|quota", r"midnight in Beijing.*raise the app's quota|poll less"
    explain = r"interface_held_quota.*45009.*rid.*quota"
    log = r"breaker of the interface opens.*45009"
    metric = 'promoter_connector_interface_held{reason="quota"} == 1'
    alerts = ({"alertname": "PromoterConnectorLate"},)

    def instead(self, path, body):
        return refusal(45009, "reach max api daily quota limit") if path.startswith(DATA) else None


class TokenStolen(Refused):
    """Another system fetches classic tokens of the app, so that each that this one has is dead when it is used."""

    code, text, action = "app_stopped_token", r"access_token|credential", r"who else fetches tokens"
    explain = r"app_stopped_token.*40001.*who else fetches tokens"
    log = r"(app is stopped|breaker of the app opens).*40001"
    metric = (
        'promoter_connector_app_stopped{reason="token"} == 1'
        ' and on () (sum(increase(promoter_connector_token_fetches_total{outcome="new"}[30s])) > 1)'
    )
    alerts = ({"alertname": "PromoterConnectorAppStopped", "reason": "token"},)
    instances = ("one",)

    def prepare(self, day):
        # Two programs with classic tokens would end each other's by themselves.
        for name in NAMES:
            day.stop(name)
        day.write("one", 'token = { source = "classic" }')
        day.start("one")
        day.present = ("one",)
        day.be_well()

    def instead(self, path, body):
        return refusal(40001, "invalid credential, access_token is invalid or not latest") if path.startswith(DATA) else None

    def leave(self, day):
        day.stop("one")
        day.write("one")
        day.present = NAMES
        for name in NAMES:
            day.start(name)


class KafkaAway(Scenario):
    """The brokers take connections and answer nothing."""

    # Which of them depends on how far a pipeline has come.
    code, text, action = r"kafka_silent|log_not_open|not_committed", r".", r"brokers"
    explain = r"(kafka_silent|log_not_open|not_committed).*brokers"
    status = r"bootstrap\.servers"
    log = r"kafka does not answer"
    metric = "promoter_connector_kafka_up == 0"
    # As the runbook has it: instances run, and the causes say why they do not poll.
    alerts = ({"alertname": "PromoterConnectorDown", "why": "not_polled"},)

    def harm(self, day):
        day.kafka(signal.SIGSTOP)

    def end(self, day):
        day.kafka(signal.SIGCONT)


class KafkaAwayAtStart(KafkaAway):
    """They are away already when the instances are started, which must not end them."""

    def harm(self, day):
        for name in NAMES:
            day.stop(name)
        super().harm(day)
        for name in NAMES:
            day.start(name)


class DiskFull(KafkaAway):
    """The broker can write nothing more, and ends as Kafka's do; somebody makes room and starts it again."""

    def harm(self, day):
        day.let_broker_write(False)

    def end(self, day):
        day.let_broker_write(True) if day.broker_runs() else day.start_broker_again()


class ClockAnHourOff(Scenario):
    """The clock of one instance's host leaps ahead while it runs."""

    code, text, action = "clock_differs", r"the upstream's clock is 3\d{3} s behind this host's", r"NTP"
    explain = r"clock_differs.*behind this host's.*NTP"
    log = r"the clocks of this host and the upstream differ"
    metric = f"abs(promoter_connector_upstream_clock_offset_seconds) > {HOUR - SECONDS}"
    alerts = ({"alertname": "PromoterConnectorClockDiffers", "app": APP},)
    instances = ("two",)
    # Until the upstream is heard next, feeds seem to have been read an hour ago.
    besides = ("late",)
    ahead = HOUR

    def prepare(self, day):
        if not faketime():
            raise SystemExit("libfaketime is missing (Debian: apt install faketime)")
        self.clock = day.directory / "clock"
        # It keeps that clock from then on, which is right but for the harm.
        if not self.clock.exists():
            self.clock.write_text("+0\n")
            day.stop("two")
            day.start("two", fake_clock=self.clock)
            day.be_well()
        self.promoter = next(name for name in map(promoter_id, range(1, PROMOTERS + 1)) if day.owner(name) == "two")

    def harm(self, day):
        self.set(self.ahead)

    def set(self, seconds):
        fresh = self.clock.with_suffix(".next")
        fresh.write_text(f"{seconds:+}\n")
        fresh.replace(self.clock)

    def end(self, day):
        self.set(0)


class ClockAnHourBehind(ClockAnHourOff):
    """The same, back."""

    text = r"the upstream's clock is 3\d{3} s ahead of this host's"
    explain = r"clock_differs.*ahead of this host's.*NTP"
    ahead = -HOUR


class Unauthorised(Refused):
    """As many promoters take back at once what they have authorised."""

    code, text, action = "parked", r"may not have authorised", r"ask them to authorise"
    explain = r"parked.*103014.*ask them to authorise"
    log = r"promoters? (are|is)? ?parked.*103014|promoters parked"
    metric = f'sum(promoter_connector_promoters{{state="parked", feed="touches"}}) == {UNAUTHORISED}'
    ids = [promoter_id(number).encode() for number in range(1, UNAUTHORISED + 1)]

    def instead(self, path, body):
        is_theirs = path.startswith(DATA) and any(name in body for name in self.ids)
        return refusal(103014, "promoter not authorised") if is_theirs else None


class GarbageInTheRegistry(Scenario):
    """A program that has nothing to do with it writes to the registry's topic."""

    code, text, action = "dead_letters_new", r"registry", r"tail dead-letters.*registry"
    # What nobody could read is no promoter's.
    log = r"dead letters.*registry"
    metric = f'sum(promoter_connector_dead_letters_total{{source="registry"}}) >= {len(GARBAGE)}'
    # Whoever polls the partition of the record.
    instances = ()

    def harm(self, day):
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": day.world.bootstrap, "partitioner": "murmur2_random", "acks": "all"})
        for raw in GARBAGE:
            producer.produce("promoter.registry", key=f"{APP}/{self.promoter}", value=raw)
            day.own_letters.append((self.promoter, raw))
        producer.flush(SECONDS)

    def prepare(self, day):
        self.instances = (day.owner(self.promoter),)

    def end(self, day):
        """It lies there, is kept as dead letters, and changes nothing."""


class InstanceHangs(Scenario):
    """The host of one instance stands still: its partitions are nobody's until its session is over."""

    explain = r"owned by two, as the group says, which was not asked or does not answer"
    # Whoever takes over says so; the one that hangs says nothing.
    log, logged_by = rf'partitions assigned".*promoter\.registry.*"partitions":{PARTITIONS}\b', ("one",)
    # The other one has taken over by then, and nobody needs to be called any more.
    lasts = SESSION + 15
    metric = f'sum(promoter_connector_partitions_owned{{state="polling"}}) < {PARTITIONS}'
    alerts = ({"alertname": "PromoterConnectorDown", "why": "not_polled"},)
    instances = ()

    def prepare(self, day):
        self.promoter = next(name for name in map(promoter_id, range(1, PROMOTERS + 1)) if day.owner(name) == "two")

    def harm(self, day):
        day.instance("two").send(signal.SIGSTOP)

    def end(self, day):
        day.instance("two").send(signal.SIGCONT)


SCENARIOS = {
    "kafka-away-at-start": KafkaAwayAtStart,
    "wechat-away": WechatAway,
    "ip-not-allowed": IpNotAllowed,
    "quota-spent": QuotaSpent,
    "token-stolen": TokenStolen,
    "kafka-away": KafkaAway,
    "unauthorised": Unauthorised,
    "instance-hangs": InstanceHangs,
    "disk-full": DiskFull,
    "clock-ahead": ClockAnHourOff,
    "clock-behind": ClockAnHourBehind,
    # The last one: that there is a dead letter of a new kind is to be known for an hour.
    "registry-garbage": GarbageInTheRegistry,
}
