package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// healthTimeout covers the whole check.
const healthTimeout = 5 * time.Second

// healthcheck sends ApiVersions v0, which every broker answers without authentication, for images without a shell.
func healthcheck(args []string) error {
	address := "localhost:9092"
	switch {
	case len(args) == 1:
		address = args[0]
	case len(args) > 1:
		return usageError("healthcheck takes one HOST:PORT")
	}
	conn, err := net.DialTimeout("tcp", address, healthTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(healthTimeout)); err != nil {
		return err
	}
	if err := askApiVersions(conn); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	return nil
}

// askApiVersions makes one round trip:
//
//	request:  length 10 | api key 18 | version 0 | correlation id | client id null
//	response: length    | correlation id | error code 0 | ...
func askApiVersions(conn io.ReadWriter) error {
	const correlation = 0x67726567
	request := binary.BigEndian.AppendUint32(nil, 10)
	request = append(request, 0, 18, 0, 0)
	request = binary.BigEndian.AppendUint32(request, correlation)
	request = append(request, 0xff, 0xff)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	var response [10]byte
	if _, err := io.ReadFull(conn, response[:]); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	if binary.BigEndian.Uint32(response[4:]) != correlation {
		return errors.New("the answer is not Kafka's")
	}
	if code := binary.BigEndian.Uint16(response[8:]); code != 0 {
		return fmt.Errorf("the broker answers with error %d", code)
	}
	return nil
}
