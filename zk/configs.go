package zk

import (
	"errors"

	gozk "github.com/go-zookeeper/zk"
)

// EntityConfig reads /config/<kind>/<name>; a nil map when there is none. Kinds are topics, brokers, clients, users and
// ips; a name is an entity, "<default>", or for users "u/clients/c".
func (c *Client) EntityConfig(kind, name string) (map[string]string, error) {
	data, stat, err := c.getOrNil(configPath(kind, name))
	if err != nil || stat == nil {
		return nil, err
	}
	return DecodeConfig(kind, name, data)
}

// EntityConfigs reads all entities directly below /config/<kind>. One that cannot be read is logged and left out.
func (c *Client) EntityConfigs(kind string) (map[string]map[string]string, error) {
	names, err := c.children("/config/" + kind)
	if err != nil {
		return nil, err
	}
	found := make([]map[string]string, len(names))
	err = c.parallel(len(names), func(i int) error {
		data, stat, err := c.getOrNil(configPath(kind, names[i]))
		if err != nil || stat == nil {
			return err
		}
		if found[i], err = DecodeConfig(kind, names[i], data); err != nil {
			c.log.Warn("Ignoring a configuration that cannot be read", "error", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	configs := make(map[string]map[string]string, len(names))
	for i, name := range names {
		if found[i] != nil {
			configs[name] = found[i]
		}
	}
	return configs, nil
}

// SetEntityConfig writes /config/<kind>/<name> and then a notification (v2) below /config/changes. A quota entity
// (clients, users, ips) left without any setting is removed.
func (c *Client) SetEntityConfig(kind, name string, config map[string]string) error {
	if err := c.writeEntityConfig(kind, name, config); err != nil {
		return err
	}
	path, data := ConfigChangesPath+"/"+configChangePrefix, encodeConfigChange(kind, name)
	err := c.createSequential(path, data)
	if errors.Is(err, ErrNoNode) {
		if err := c.createMissing(ConfigChangesPath, nil); err != nil {
			return err
		}
		err = c.createSequential(path, data)
	}
	return err
}

func (c *Client) writeEntityConfig(kind, name string, config map[string]string) error {
	quota := kind == "clients" || kind == "users" || kind == "ips"
	if len(config) == 0 && quota {
		_, err := c.write(func(s *session) error { return s.conn.Delete(c.full(configPath(kind, name)), -1) })
		switch {
		case err == nil, errors.Is(err, gozk.ErrNoNode):
			return nil
		case !errors.Is(err, ErrNotEmpty): // a user with quotas of its own clients below stays, without its own
			return err
		}
	}
	return c.setOrCreate(configPath(kind, name), EncodeConfig(config))
}
