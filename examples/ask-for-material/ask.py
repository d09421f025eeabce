#!/usr/bin/env python3
"""Asks for a promoter's material and waits for the reply, with a deadline; as a command, and as a class for a service.

    python3 -m venv env && env/bin/pip install -r requirements.txt
    env/bin/python ask.py --bootstrap localhost:9092 --app wx0123456789abcdef --promoter oABC --path pages/index --out qrcode.png

Prints the reply, but for its image, as JSON. Ends with 0 for SUCCEEDED, 1 for any other reply, and where nothing can be asked or kept, 3 where
none came in time.
"""

import argparse
import io
import json
import sys
import threading
import time
import uuid
from concurrent.futures import Future
from datetime import datetime, timedelta, timezone
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import fingerprint, load_schema, to_parsing_canonical_form

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "material-result.avsc"
REQUESTS, RESULTS = "promoter.material.requests", "promoter.material.results"
RESULT = load_schema(SCHEMA)
HEADER = b"\xc3\x01" + bytes.fromhex(fingerprint(to_parsing_canonical_form(RESULT), "CRC-64-AVRO"))
CORRELATION = "correlation-id"
# The reply EXPIRED is written within seconds of the deadline; whoever gave up at the deadline itself would miss it.
REPLY_GRACE_SECONDS = 15


class Requester:
    """Sends requests and hands each the reply with its own header. Any number of threads may ask at once.

    1. It stands at the end of every partition of the replies before it sends anything: a reply can't come before it listens.
    2. It reads without a group: each service reads all replies and keeps its own, so that nobody's are given to another one.
    3. A request is sent again only by the producer's own, idempotent, retries. Whoever asks anew after a time-out asks for another
       material.
    4. A reply that names another request or promoter is none: whoever may ask can have one written under any header.
    5. Whoever waits is told, whatever happens to the listening: no record ends it, and where it does end, all futures end with it.
    """

    def __init__(self, bootstrap, requests=REQUESTS, results=RESULTS):
        self.requests, self.schema = requests, parse_schema(RESULT)
        self.waiting, self.lock, self.closed, self.ended = {}, threading.Lock(), False, None
        # The partitioner of Java clients; librdkafka's own would put a key elsewhere than they do.
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True})
        self.consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                                  "isolation.level": "read_committed", "fetch.wait.max.ms": 50})
        self.stand_at_end(results)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def stand_at_end(self, results):
        partitions = self.consumer.list_topics(results, timeout=10).topics[results].partitions
        if not partitions:
            raise RuntimeError(f"there is no topic {results}: has the connector run?")
        # Offsets, not OFFSET_END: that is looked up by the first fetch, which may come later than the first reply.
        ends = {number: self.consumer.get_watermark_offsets(TopicPartition(results, number), timeout=10)[1] for number in partitions}
        self.consumer.assign([TopicPartition(results, number, end) for number, end in ends.items()])

    def ask(self, app_id, promoter, path, within=timedelta(seconds=30), **more):
        """A future of the reply: a dictionary as schemas/material-result.avsc has it. TimeoutError where none came `within` that
        time and a little; then the request may still have been carried out. RuntimeError where nobody would listen any more."""
        correlation, reply = uuid.uuid4().hex, Future()
        deadline = datetime.now(timezone.utc) + within
        request = {"request_id": correlation, "app_id": app_id, "promoter_openid": promoter, "path": path,
                   "deadline": deadline.isoformat(timespec="milliseconds"), **more}
        give_up = time.monotonic() + max(within.total_seconds(), 0) + REPLY_GRACE_SECONDS
        with self.lock:
            if self.ended:
                raise RuntimeError("nobody listens for replies any more") from self.ended
            self.waiting[correlation] = (reply, give_up, request)
        headers = {"content-type": "application/json", CORRELATION: correlation}
        self.producer.produce(self.requests, key=f"{app_id}/{promoter}", value=json.dumps(request), headers=headers,
                              on_delivery=lambda error, _: error and self.fail(correlation, RuntimeError(str(error))))
        return reply

    def listen(self):
        ended = RuntimeError("the requester was closed; the request may have been carried out")
        try:
            while not self.closed:
                self.listen_once()
        except Exception as error:  # A thread that ended in silence would leave them waiting for ever.
            ended = error
        with self.lock:
            self.ended, left = ended, list(self.waiting)
        for correlation in left:
            self.fail(correlation, ended)

    def listen_once(self):
        self.producer.poll(0)
        message = self.consumer.poll(0.05)
        if message is not None and message.error() is None:
            self.take(message)
        now = time.monotonic()
        with self.lock:
            late = [correlation for correlation, (_, give_up, _) in self.waiting.items() if give_up < now]
        for correlation in late:
            self.fail(correlation, TimeoutError("no reply in time; the request may have been carried out"))

    def take(self, message):
        # Most replies are others': they are not even decoded. A header may be there and have no value: the connector copies what
        # whoever asked has given.
        correlation = (dict(message.headers() or []).get(CORRELATION) or b"").decode(errors="replace")
        with self.lock:
            _, _, request = self.waiting.get(correlation, (None, None, None))
        if request is None:
            return
        try:
            reply = self.decode(message.value())
        except Exception as error:  # It must reach whoever waits, and no other's reply may be lost for it.
            self.fail(correlation, error)
            return
        # Of another request, its header is forged: the own reply is still to come. Too long an id comes back cut, and REJECTED.
        same_promoter = reply["promoter_openid"] == request["promoter_openid"] or reply["status"] == "REJECTED"
        if same_promoter and reply["request_id"] == request["request_id"]:
            waiting = self.pop(correlation)
            if waiting:
                waiting.set_result(reply)

    def decode(self, value):
        """An Avro single object; where the connector has a schema registry, put confluent-kafka's AvroDeserializer here."""
        if not value.startswith(HEADER):
            raise ValueError(f"carried out, but its reply is a value of another schema or frame (see README, Registry): {value[:10].hex()}")
        return schemaless_reader(io.BytesIO(value[len(HEADER) :]), self.schema, None)

    def fail(self, correlation, error):
        waiting = self.pop(correlation)
        if waiting:
            waiting.set_exception(error)

    def pop(self, correlation):
        """The future, unless it has ended: asyncio cancels one whose waiter has lost patience, and then it takes no result."""
        with self.lock:
            reply, *_ = self.waiting.pop(correlation, (None,))
        return reply if reply and reply.set_running_or_notify_cancel() else None

    def close(self):
        self.closed = True
        self.thread.join()
        self.producer.flush(10)
        # What no broker has taken by now nobody waits for; closing alone would go on trying for minutes.
        self.producer.purge()
        self.producer.close()
        self.consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True, help="HOST:PORT of a broker")
    parser.add_argument("--app", required=True)
    parser.add_argument("--promoter", required=True)
    parser.add_argument("--path", required=True, help="the page of the Mini Program")
    parser.add_argument("--extra-info", help="comes back as share_extra_info of touches and orders; 80 bytes at most")
    parser.add_argument("--within", type=float, default=30, help="seconds")
    parser.add_argument("--out", type=Path, help="where the QR code goes")
    options = parser.parse_args()
    try:
        reply = ask(options)
    except TimeoutError as error:
        print(error, file=sys.stderr)
        return 3
    except (KafkaException, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    # First: where the image can't be written, the link at least is kept.
    print(json.dumps(reply | {"qrcode": reply["qrcode"] and f"{len(reply['qrcode'])} bytes"}, default=str, ensure_ascii=False), flush=True)
    if options.out and reply["qrcode"]:
        try:
            options.out.write_bytes(reply["qrcode"])
        except OSError as error:
            print(f"the image is not written: {error}", file=sys.stderr)
            return 1
    return 0 if reply["status"] == "SUCCEEDED" else 1


def ask(options):
    """The reply to what the command line asks for."""
    requester = Requester(options.bootstrap)
    more = {"extra_info": options.extra_info} if options.extra_info else {}
    try:
        return requester.ask(options.app, options.promoter, options.path, timedelta(seconds=options.within), **more).result()
    finally:
        requester.close()


if __name__ == "__main__":
    sys.exit(main())
