"""Tells the story of package clients with kafka-python; prints one JSON object with what it saw."""

import json
import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

addr, topic, per_codec = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = {}

admin = KafkaAdminClient(bootstrap_servers=addr)
admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1, topic_configs={"retention.ms": "3600000"})])
for _ in range(100):
    if topic in admin.list_topics():
        break
    time.sleep(0.1)

codecs = [None, "gzip", "snappy", "lz4", "zstd"]
for codec in codecs:
    producer = KafkaProducer(bootstrap_servers=addr, compression_type=codec, acks="all", linger_ms=5)
    name = codec or "none"
    futures = [
        producer.send(topic, key=f"key-{n % 7}".encode(), value=f"{name}-{n}-{'v' * (n * 5)}".encode(), headers=[("codec", name.encode())])
        for n in range(per_codec)
    ]
    producer.flush(30)
    for f in futures:
        f.get(30)
    producer.close()

total = per_codec * len(codecs)
records, lock, errors = [], threading.Lock(), []


def consume():
    try:
        consumer = KafkaConsumer(topic, bootstrap_servers=addr, group_id=topic + "-group", auto_offset_reset="earliest", enable_auto_commit=False)
        deadline = time.time() + 50
        while time.time() < deadline:
            polled = consumer.poll(timeout_ms=200)
            with lock:
                for batch in polled.values():
                    for r in batch:
                        records.append([r.partition, r.offset, r.key.decode(), r.value.decode(), dict(r.headers)["codec"].decode()])
                full = len(records) >= total
            if polled:
                consumer.commit()
            if full:
                break
        consumer.close()
    except Exception as e:  # the test wants to see it, whatever it is
        errors.append(repr(e))


members = [threading.Thread(target=consume) for _ in range(2)]
for m in members:
    m.start()
for m in members:
    m.join()

seen["records"], seen["errors"] = records, errors
group = topic + "-group"
seen["committed"] = json.loads(sys.stdin.read() or "null")
print(json.dumps({"records": records, "errors": errors}), flush=True)
