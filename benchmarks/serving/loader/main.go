// loader sends HTTP/1.1 requests over keep-alive connections, from one thread, and says what became of them, as JSON.
//
// With -rate it is an open loop: requests are due at random times of that rate, whatever became of the ones before. A
// request's time counts from when it was due, so a server that stalls pays for all that were due meanwhile. Without,
// each connection sends its next request as soon as it has the answer.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

func main() {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(400)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "loader:", err)
		os.Exit(1)
	}
}

func run() error {
	address := flag.String("address", "", "IPv4 address and port of the server")
	file := flag.String("requests", "", "file of whole requests, each after its length as 4 bytes, little endian")
	connections := flag.Int("connections", 32, "how many")
	rate := flag.Float64("rate", 0, "requests per second; 0: closed loop")
	seconds := flag.Float64("seconds", 2, "how long requests are sent")
	count := flag.Int("count", 0, "how many requests are sent, however long it takes; 0: until the time is over")
	late := flag.Float64("late", 5, "seconds after the end in which an open loop sends what was due before")
	spin := flag.Bool("spin", true, "use the processor while waiting, for exact times")
	log := flag.String("log", "", "file for every answer: due, time, status, each 8 bytes, little endian")
	flag.Parse()

	server, err := netip.ParseAddrPort(*address)
	if err != nil {
		return err
	}
	requests, err := readRequests(*file)
	if err != nil {
		return err
	}
	load := newLoad(server, requests, *connections)
	load.rate, load.seconds, load.count, load.spin = *rate, *seconds, *count, *spin
	load.late = int64(*late * float64(second))
	if err := load.run(); err != nil {
		return err
	}
	if *log != "" {
		if err := writeLog(*log, load.answers); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(load.report())
}

func readRequests(file string) ([][]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for len(content) > 0 {
		if len(content) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		length := int(binary.LittleEndian.Uint32(content))
		if len(content) < 4+length {
			return nil, io.ErrUnexpectedEOF
		}
		requests = append(requests, content[4:4+length])
		content = content[4+length:]
	}
	if len(requests) == 0 {
		return nil, fmt.Errorf("%s has no request", file)
	}
	return requests, nil
}

func writeLog(file string, answers []answer) error {
	made, err := os.Create(file)
	if err != nil {
		return err
	}
	defer made.Close()
	writer := bufio.NewWriter(made)
	for _, one := range answers {
		if err := binary.Write(writer, binary.LittleEndian, []int64{one.due, one.took, int64(one.status)}); err != nil {
			return err
		}
	}
	return writer.Flush()
}

// cpuSeconds gives what this process has used.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
