"""Tells the story of package clients with kafka-python; prints one JSON object with what it saw."""

import json
import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

addr, topic, per_codec = sys.argv[1], "python", int(sys.argv[2])
group = topic + "-group"
codecs = [None, "gzip", "snappy", "lz4", "zstd"]


acked = []


def eventually(condition):
    deadline = time.time() + 30
    while not condition():
        if time.time() > deadline:
            raise TimeoutError("condition never came true")
        time.sleep(0.1)


def produce(codec):
    producer = KafkaProducer(bootstrap_servers=addr, compression_type=codec, acks="all", linger_ms=5)
    name = codec or "none"
    futures = [
        producer.send(
            topic,
            key=f"key-{n % 7}".encode(),
            value=f"{name}-{n}-{'v' * (n * 5)}".encode(),
            headers=[("codec", name.encode())],
        )
        for n in range(per_codec)
    ]
    producer.flush(30)
    for n, future in enumerate(futures):
        told = future.get(30)
        acked.append([told.partition, told.offset, f"{name}-{n}-{'v' * (n * 5)}"])
    producer.close()


def consume(records, lock, total, errors):
    try:
        consumer = KafkaConsumer(
            topic, bootstrap_servers=addr, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
        )
        deadline = time.time() + 50
        full = False
        while time.time() < deadline and not full:
            polled = consumer.poll(timeout_ms=200)
            with lock:
                for batch in polled.values():
                    for r in batch:
                        codec = dict(r.headers)["codec"].decode()
                        records.append([r.partition, r.offset, r.key.decode(), r.value.decode(), codec])
                full = len(records) >= total
            if polled:
                consumer.commit()
        consumer.close()
    except Exception as e:  # the Go side reports it
        errors.append(repr(e))


admin = KafkaAdminClient(bootstrap_servers=addr)
admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1, topic_configs={"retention.ms": "3600000"})])
eventually(lambda: topic in admin.list_topics())
for codec in codecs:
    produce(codec)

records, errors, lock = [], [], threading.Lock()
members = [threading.Thread(target=consume, args=(records, lock, per_codec * len(codecs), errors)) for _ in range(2)]
for member in members:
    member.start()
for member in members:
    member.join()

facts = {"errors": errors}
facts["committed"] = sum(o.offset for o in admin.list_group_offsets({group: None})[group].values())
resource = ConfigResource(ConfigResourceType.TOPIC, topic)
facts["retention"] = admin.describe_configs([resource])["topic"][topic]["retention.ms"]["value"]
facts["listed"] = any(g["group_id"] == group for g in admin.list_groups())
facts["state"] = admin.describe_groups([group])[group]["group_state"]
admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"segment.bytes": "100000000"})])
admin.create_partitions({topic: NewPartitions(4)})
admin.delete_groups([group])
facts["groupGone"] = not any(g["group_id"] == group for g in admin.list_groups())
admin.delete_topics([topic])
eventually(lambda: topic not in admin.list_topics())
facts["topicGone"] = True
json.dump({"records": records, "acked": acked, "facts": facts}, sys.stdout)
