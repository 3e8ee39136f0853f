package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-zookeeper/zk"
)

// floorCreate is how long it takes, in seconds, to put the nodes of so many partitions into ZooKeeper's tree, in the form that every controller writes, and
// to make a directory with a log and two index files for each: what no broker can do without.
func (l *lab) floorCreate(ctx context.Context, topics []string, each int) (float64, error) {
	c, _, err := zk.Connect([]string{l.zkAddr}, 20*time.Second, zk.WithLogInfo(false))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	l.started++
	dir, root := filepath.Join(l.dir, fmt.Sprintf("floor-%d", l.started)), fmt.Sprintf("/bench-%d", l.started)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	defer l.discard(dir)
	open := zk.WorldACL(zk.PermAll)
	begun := time.Now()
	if _, err := c.Create(root, nil, 0, open); err != nil {
		return 0, err
	}
	for _, topic := range topics {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		node := root + "/" + topic
		requests := []any{&zk.CreateRequest{Path: node, Data: []byte(`{"version":3}`), Acl: open}, &zk.CreateRequest{Path: node + "/partitions", Acl: open}}
		for p := range each {
			at := fmt.Sprintf("%s/partitions/%d", node, p)
			requests = append(requests, &zk.CreateRequest{Path: at, Acl: open},
				&zk.CreateRequest{Path: at + "/state", Data: []byte(`{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0]}`), Acl: open})
			if err := makeFiles(filepath.Join(dir, fmt.Sprintf("%s-%d", topic, p))); err != nil {
				return 0, err
			}
		}
		if _, err := c.Multi(requests...); err != nil {
			return 0, err
		}
	}
	return time.Since(begun).Seconds(), nil
}

// makeFiles makes a partition's directory.
func makeFiles(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}
