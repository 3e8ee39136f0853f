package broker

import "hash/maphash"

// shards is how many pieces a shardedMap has: with 10,000 topics a change copies some forty entries.
const shards = 256

// shardedMap is a map by topic name that can be changed by copying one of its pieces. The zero value is empty.
type shardedMap[V any] [shards]map[string]V

var shardSeed = maphash.MakeSeed()

func shardOf(key string) int { return int(maphash.String(shardSeed, key) % shards) }

// get returns the zero value for an unknown key.
func (m *shardedMap[V]) get(key string) V { return m[shardOf(key)][key] }

// each calls fn for every entry, in no order.
func (m *shardedMap[V]) each(fn func(key string, value V)) {
	for i := range m {
		for k, v := range m[i] {
			fn(k, v)
		}
	}
}

// cloneMap copies m into a map that may be written, also when m is nil.
func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m)+1)
	for k, v := range m {
		c[k] = v
	}
	return c
}
