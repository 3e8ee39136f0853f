package stock

import (
	"io"
	"net"
	"strings"
	"time"
)

// FourLetterWord sends one of ZooKeeper's administrative words (ruok, dump, stat, ...) to a server and returns the answer.
func FourLetterWord(addr, word string) (string, error) {
	const timeout = 5 * time.Second
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// Serving says whether a ZooKeeper server serves requests. It accepts connections, and says "imok", some time before.
func Serving(addr string) bool {
	answer, err := FourLetterWord(addr, "srvr")
	return err == nil && strings.Contains(answer, "Mode: ")
}
