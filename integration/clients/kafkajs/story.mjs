// Tells the story of package clients with KafkaJS; prints one JSON object with what it saw. KafkaJS brings gzip itself; other codecs need plug-ins.
import { CompressionTypes, Kafka, logLevel } from "kafkajs";

const [addr, perCodec] = [process.argv[2], Number(process.argv[3])];
const topic = "kafkajs";
const group = `${topic}-group`;
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP };
const total = perCodec * Object.keys(codecs).length;
const kafka = new Kafka({ clientId: "story", brokers: [addr], logLevel: logLevel.NOTHING });
const facts = { errors: [] };

const admin = kafka.admin();
await admin.connect();
await admin.createTopics({
  topics: [{ topic, numPartitions: 3, replicationFactor: 1, configEntries: [{ name: "retention.ms", value: "3600000" }] }],
  waitForLeaders: true,
});

// Both members share the partitions before there is anything to read: one that disconnects while it joins would stay in the group for a while.
const records = [];
const members = [kafka.consumer({ groupId: group }), kafka.consumer({ groupId: group })];
const shares = members.map(() => 0);
const all = (condition, what) =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${what}: ${records.length} records, shares ${shares}`)), 50000);
    const timer = setInterval(() => {
      if (condition()) {
        clearTimeout(late);
        clearInterval(timer);
        resolve();
      }
    }, 20);
  });
for (const [i, member] of members.entries()) {
  member.on(member.events.GROUP_JOIN, ({ payload }) => {
    shares[i] = (payload.memberAssignment[topic] ?? []).length;
  });
  await member.connect();
  await member.subscribe({ topic, fromBeginning: true });
  await member.run({
    eachMessage: async ({ partition, message }) => {
      records.push([partition, Number(message.offset), message.key.toString(), message.value.toString(), message.headers.codec.toString()]);
    },
  });
}
await all(() => shares.every((n) => n > 0) && shares[0] + shares[1] === 3, "joining");

const acks = []; // a send tells the offset of its first record in each partition
for (const [name, compression] of Object.entries(codecs)) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const messages = [];
  for (let n = 0; n < perCodec; n++) {
    messages.push({ key: `key-${n % 7}`, value: `${name}-${n}-${"v".repeat(n * 5)}`, headers: { codec: name } });
  }
  acks.push(...(await producer.send({ topic, compression, messages })).map((ack) => ({ ...ack, name })));
  await producer.disconnect();
}

await all(() => records.length >= total, "reading");
await Promise.all(members.map((member) => member.disconnect())); // commits what was resolved

for (const { name, partition, baseOffset } of acks) {
  const first = Math.min(...records.filter((r) => r[0] === partition && r[3].startsWith(`${name}-`)).map((r) => r[1]));
  if (first !== Number(baseOffset)) {
    facts.errors.push(`${name}: partition ${partition} acknowledged ${baseOffset}, its first record lies at ${first}`);
  }
}

const offsets = await admin.fetchOffsets({ groupId: group, topics: [topic] });
facts.committed = offsets[0].partitions.reduce((sum, p) => sum + Math.max(0, Number(p.offset)), 0);
const configs = await admin.describeConfigs({ resources: [{ type: 2, name: topic, configNames: ["retention.ms"] }], includeSynonyms: false });
facts.retention = configs.resources[0].configEntries[0].configValue;
facts.state = (await admin.describeGroups([group])).groups[0].state;
facts.listed = (await admin.listGroups()).groups.some((g) => g.groupId === group);
await admin.alterConfigs({ resources: [{ type: 2, name: topic, configEntries: [{ name: "segment.bytes", value: "100000000" }] }] });
await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
await admin.deleteGroups([group]);
facts.groupGone = !(await admin.listGroups()).groups.some((g) => g.groupId === group);
await admin.deleteTopics({ topics: [topic] });
for (let n = 0; n < 300 && (await admin.listTopics()).includes(topic); n++) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
facts.topicGone = !(await admin.listTopics()).includes(topic);
await admin.disconnect();
process.stdout.write(JSON.stringify({ records, facts }), () => process.exit(0));
