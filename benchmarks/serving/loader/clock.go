package main

import (
	"syscall"
	"time"
	"unsafe"
)

const clockMonotonic = 1

var (
	origin      = time.Now()
	originNanos = readMonotonic()
)

// now gives nanoseconds of CLOCK_MONOTONIC, the clock of Python's time.monotonic_ns. Go reads that clock without a
// call into the kernel, but does not say what it reads, only how much later it is.
func now() int64 {
	return originNanos + int64(time.Since(origin))
}

func readMonotonic() int64 {
	var read syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&read)), 0)
	return read.Nano()
}
