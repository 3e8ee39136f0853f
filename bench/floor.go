package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// floor is what the kernel alone takes for a fetch: a process of this program's own with one thread in read, send and sendfile on a socket that
// blocks, no protocol, no index, no scheduler. No broker can serve the same answers the same way for less.
const floor kind = "floor"

// floorHeader is the size of a fetch answer's bytes before its records.
const floorHeader = 80

// floorFile is large enough that a round of 1 MiB answers does not find the same pages in the processor's cache.
const floorFile = 600 << 20

// floorCPU is the CPU time per GB of the bare loop for answers of size bytes, a process for each of so many connections; limit bytes go over each.
func (l *lab) floorCPU(ctx context.Context, connections, size int, limit int64) (float64, error) {
	file := filepath.Join(l.dir, "floor")
	if _, err := os.Stat(file); err != nil {
		if err := writeZeros(file, floorFile); err != nil {
			return 0, err
		}
	}
	costs, errs := make([]float64, connections), make([]error, connections)
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() { costs[i], errs[i] = floorOf(ctx, file, size, limit) })
	}
	all.Wait()
	sum := 0.0
	for _, cost := range costs {
		sum += cost
	}
	return sum / float64(connections), errors.Join(errs...)
}

// floorOf is floorCPU over one connection.
func floorOf(ctx context.Context, file string, size int, limit int64) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	server := exec.CommandContext(ctx, self)
	server.Env = append(os.Environ(), floorEnv+"="+file+":"+strconv.Itoa(size))
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer server.Wait()
	defer server.Process.Kill()
	var addr string
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		return 0, fmt.Errorf("floor: %w", err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	b := &broker{cmd: server}
	request, answer := make([]byte, 90), make([]byte, floorHeader+size)
	before, total := b.cpu(), int64(0)
	for total < limit && ctx.Err() == nil {
		if _, err := c.Write(request); err != nil {
			return 0, err
		}
		// As readFrame does: the size first, then the rest.
		if _, err := io.ReadFull(c, answer[:8]); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, answer[8:]); err != nil {
			return 0, err
		}
		total += int64(size)
	}
	return (b.cpu() - before) / (float64(total) / 1e9), ctx.Err()
}

// floorEnv tells a process of this program to be the bare loop: "FILE:SIZE".
const floorEnv = "GREGOR_BENCH_FLOOR"

// serveFloor is that process: one connection, until it ends.
func serveFloor(spec string) error {
	at := strings.LastIndexByte(spec, ':')
	size, err := strconv.Atoi(spec[at+1:])
	if err != nil {
		return err
	}
	file, err := os.Open(spec[:at])
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	socket, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	c.Close()
	fd := int(socket.Fd())
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	request, header := make([]byte, 4096), make([]byte, floorHeader)
	binary.BigEndian.PutUint32(header, uint32(floorHeader-4+size))
	for offset := int64(0); ; {
		if n, err := unix.Read(fd, request); n == 0 || err != nil {
			return err
		}
		if offset+int64(size) > floorFile {
			offset = 0
		}
		if _, err := unix.SendmsgN(fd, header, nil, nil, unix.MSG_MORE); err != nil {
			return err
		}
		for left := size; left > 0; {
			n, err := unix.Sendfile(fd, int(file.Fd()), &offset, left)
			if err != nil {
				return err
			}
			left -= n
		}
	}
}

func writeZeros(path string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for range size / len(block) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	return errors.Join(f.Sync(), f.Close()) // written to the disk before anything is measured
}
