package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	second      = int64(1_000_000_000)
	grace       = 5 * second
	epollPwait2 = 441 // the same number on amd64 and arm64
	spinning    = 500_000
	noAnswer    = 0 // status of a request that was due and got none
)

// answer is what became of one request; times in nanoseconds.
type answer struct {
	due, took int64
	status    int32
}

// load is one run.
type load struct {
	rate    float64
	seconds float64
	count   int
	spin    bool
	late    int64 // how long after the end that is sent which was due before

	address     syscall.SockaddrInet4
	requests    [][]byte
	connections []connection
	idle        []int32
	epoll       int
	began, end  int64
	sent        int
	inFlight    int
	errors      int
	firstError  string
	answers     []answer
	took        int64
	schedule    []int64 // of an open loop: when each request is due, after the beginning
}

func newLoad(server netip.AddrPort, requests [][]byte, connections int) *load {
	made := &load{requests: requests, connections: make([]connection, connections)}
	made.address = syscall.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()}
	made.answers = make([]answer, 0, 1<<16)
	return made
}

// run sends, and returns once everything that was sent is answered or some seconds have passed.
func (l *load) run() error {
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	for i := range l.connections {
		if err := l.connections[i].open(&l.address, l.epoll, int32(i)); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		l.idle = append(l.idle, int32(i))
	}
	l.plan()
	l.began = now()
	l.end = l.began + int64(l.seconds*float64(second))
	for at := l.began; l.goesOn(at); at = now() {
		for len(l.idle) > 0 && l.isDue(at) {
			l.send(at)
		}
		if err := l.take(at); err != nil {
			return err
		}
	}
	l.took = now() - l.began
	l.giveUp()
	return nil
}

// plan lays down when requests are due: they come from people who know nothing of each other, so the times between
// them are exponential. The same rate always has the same times.
func (l *load) plan() {
	if l.rate == 0 {
		return
	}
	drawn := rand.New(rand.NewPCG(7, 7))
	length := l.seconds * float64(second)
	for at := drawn.ExpFloat64(); at*float64(second)/l.rate < length; at += drawn.ExpFloat64() {
		l.schedule = append(l.schedule, int64(at*float64(second)/l.rate))
	}
}

func (l *load) goesOn(at int64) bool {
	if l.isSending(at) {
		return true
	}
	if l.count > 0 {
		return l.inFlight > 0
	}
	return l.inFlight > 0 && at < l.end+l.late+grace
}

func (l *load) isSending(at int64) bool {
	if l.count > 0 {
		return l.sent < l.count && l.errors < 1000
	}
	if l.rate > 0 {
		return l.sent < len(l.schedule) && at < l.end+l.late
	}
	return at < l.end
}

// due gives when the next request should be sent.
func (l *load) due(at int64) int64 {
	if l.rate == 0 {
		return at
	}
	return l.began + l.schedule[l.sent]
}

func (l *load) isDue(at int64) bool {
	return l.isSending(at) && l.due(at) <= at
}

func (l *load) send(at int64) {
	number := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	c := &l.connections[number]
	c.intended = l.due(at)
	c.unsent = l.requests[l.sent%len(l.requests)]
	c.isBusy = true
	l.sent++
	l.inFlight++
	if err := c.flush(l.epoll, number); err != nil {
		l.fail(number, err)
	}
}

// take waits for answers, not longer than until the next request is due, and takes them.
func (l *load) take(at int64) error {
	var events [256]syscall.EpollEvent
	count, err := l.wait(events[:], at)
	if err != nil {
		return err
	}
	for _, event := range events[:count] {
		c := &l.connections[event.Fd]
		if !c.isOpen {
			continue
		}
		if event.Events&syscall.EPOLLOUT != 0 {
			err := c.flush(l.epoll, event.Fd)
			if err == nil && len(c.unsent) == 0 {
				err = c.wantsNoWriting(l.epoll, event.Fd)
			}
			if err != nil {
				l.fail(event.Fd, err)
				continue
			}
		}
		if event.Events&^syscall.EPOLLOUT != 0 {
			l.receive(event.Fd)
		}
	}
	return nil
}

var scratch [1 << 18]byte

func (l *load) receive(number int32) {
	c := &l.connections[number]
	status, isLast, err := c.read(scratch[:])
	if err != nil {
		l.fail(number, err)
		return
	}
	if status == 0 {
		return
	}
	l.answers = append(l.answers, answer{c.intended, now() - c.intended, int32(status)})
	l.inFlight--
	c.received, c.isBusy = c.received[:0], false
	if isLast {
		l.reopen(number)
		return
	}
	l.idle = append(l.idle, number)
}

// fail counts a connection that broke, and its request as not answered.
func (l *load) fail(number int32, err error) {
	c := &l.connections[number]
	if c.isBusy {
		l.inFlight--
		l.errors++
		l.answers = append(l.answers, answer{c.intended, now() - c.intended, noAnswer})
		if l.firstError == "" {
			l.firstError = err.Error()
		}
	}
	l.reopen(number)
}

func (l *load) reopen(number int32) {
	c := &l.connections[number]
	if c.isOpen {
		c.close()
	}
	l.idle = slices.DeleteFunc(l.idle, func(one int32) bool { return one == number })
	if err := c.open(&l.address, l.epoll, number); err != nil {
		l.errors++
		l.firstError = err.Error()
		return
	}
	l.idle = append(l.idle, number)
}

// giveUp counts what was due and was not sent or not answered, with the time that it has waited so far.
func (l *load) giveUp() {
	at := now()
	for i := range l.connections {
		if c := &l.connections[i]; c.isOpen && c.isBusy {
			l.answers = append(l.answers, answer{c.intended, at - c.intended, noAnswer})
		}
	}
	for ; l.sent < len(l.schedule); l.sent++ {
		l.answers = append(l.answers, answer{l.due(at), at - l.due(at), noAnswer})
	}
}

// wait gives events. A wait by the timer alone is late by some 50 µs; whoever spins is not.
func (l *load) wait(events []syscall.EpollEvent, at int64) (int, error) {
	left := int64(10_000_000)
	if l.isSending(at) && len(l.idle) > 0 {
		left = max(0, min(left, l.due(at)-at))
		if l.spin {
			left = max(0, left-spinning)
		}
	}
	timeout := syscall.NsecToTimespec(left)
	count, _, failure := syscall.Syscall6(epollPwait2, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if failure == syscall.EINTR {
		return 0, nil
	}
	if failure != 0 {
		return 0, os.NewSyscallError("epoll_pwait2", failure)
	}
	return int(count), nil
}

// latencies are of the answers of one status, in seconds.
type latencies struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

type report struct {
	Sent     int                  `json:"sent"`
	Errors   int                  `json:"errors"`
	Error    string               `json:"error"`
	Seconds  float64              `json:"seconds"`
	CPU      float64              `json:"cpu"`
	Statuses map[string]latencies `json:"statuses"`
}

func (l *load) report() report {
	times := map[int32][]int64{}
	for _, one := range l.answers {
		times[one.status] = append(times[one.status], one.took)
	}
	made := report{l.sent, l.errors, l.firstError, seconds(l.took), cpuSeconds(), map[string]latencies{}}
	for status, all := range times {
		slices.Sort(all)
		at := func(share float64) float64 { return seconds(all[min(len(all)-1, int(share*float64(len(all))))]) }
		made.Statuses[strconv.Itoa(int(status))] = latencies{len(all), at(0.5), at(0.9), at(0.99), at(0.999), at(1)}
	}
	return made
}

func seconds(nanoseconds int64) float64 {
	return float64(nanoseconds) / float64(second)
}
