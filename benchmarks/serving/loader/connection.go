package main

import (
	"bytes"
	"fmt"
	"strconv"
	"syscall"
)

var (
	endOfHead  = []byte("\r\n\r\n")
	lastChunk  = []byte("\r\n0\r\n\r\n")
	lengthName = []byte("content-length:")
	codingName = []byte("transfer-encoding: chunked")
	closeName  = []byte("connection: close")
)

// connection is one keep-alive connection with one request in flight at most.
type connection struct {
	descriptor int
	isOpen     bool
	unsent     []byte
	received   []byte
	// What the request in flight is: when it should have been sent, in nanoseconds of CLOCK_MONOTONIC.
	intended int64
	isBusy   bool
}

// open connects, waiting for it, and makes the socket non-blocking.
func (c *connection) open(address *syscall.SockaddrInet4, epoll int, number int32) error {
	descriptor, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err = syscall.Connect(descriptor, address); err == nil {
		err = syscall.SetNonblock(descriptor, true)
	}
	if err == nil {
		err = syscall.SetsockoptInt(descriptor, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if err == nil {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: number}
		err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, descriptor, &event)
	}
	if err != nil {
		syscall.Close(descriptor)
		return err
	}
	c.descriptor, c.isOpen, c.isBusy = descriptor, true, false
	c.received, c.unsent = c.received[:0], nil
	return nil
}

func (c *connection) close() {
	syscall.Close(c.descriptor)
	c.isOpen, c.isBusy = false, false
}

// flush writes what is left of the request; what the socket does not take now waits until it is writable.
func (c *connection) flush(epoll int, number int32) error {
	for len(c.unsent) > 0 {
		count, err := syscall.Write(c.descriptor, c.unsent)
		if err == syscall.EAGAIN {
			event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: number}
			return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_MOD, c.descriptor, &event)
		}
		if err != nil {
			return err
		}
		c.unsent = c.unsent[count:]
	}
	return nil
}

// wantsNoWriting is called once everything that waited was written.
func (c *connection) wantsNoWriting(epoll int, number int32) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: number}
	return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_MOD, c.descriptor, &event)
}

// read takes what has arrived. It gives the answer's status once it is complete, else 0, and whether it was the last.
func (c *connection) read(buffer []byte) (status int, isLast bool, err error) {
	count, err := syscall.Read(c.descriptor, buffer)
	if err == syscall.EAGAIN {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if count == 0 {
		return 0, false, fmt.Errorf("closed by the server")
	}
	c.received = append(c.received, buffer[:count]...)
	return parse(c.received)
}

// parse gives the status of a complete answer, 0 of an incomplete one.
func parse(received []byte) (status int, isLast bool, err error) {
	end := bytes.Index(received, endOfHead)
	if end < 0 {
		return 0, false, nil
	}
	head := bytes.ToLower(received[:end])
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("http/1.1 ")) {
		return 0, false, fmt.Errorf("no HTTP: %q", received[:min(len(received), 40)])
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, false, err
	}
	isLast = bytes.Contains(head, closeName)
	if bytes.Contains(head, codingName) {
		if !bytes.HasSuffix(received, lastChunk) {
			return 0, false, nil
		}
		return status, isLast, nil
	}
	length := 0
	if at := bytes.Index(head, lengthName); at >= 0 {
		value, _, _ := bytes.Cut(head[at+len(lengthName):], []byte("\r\n"))
		if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
			return 0, false, err
		}
	}
	if len(received) < end+len(endOfHead)+length {
		return 0, false, nil
	}
	return status, isLast, nil
}
