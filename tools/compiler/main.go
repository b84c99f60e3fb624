//go:build wasip1

// OPA's compiler behind one call, as a WebAssembly reactor: a JSON request in, a JSON answer out.
package main

import (
	"runtime"
	"runtime/debug"
	"unsafe"
)

// Buffers that the host knows by address: they must stay reachable until it has read or written them.
var held = map[uint32][]byte{}

func main() {}

// The host has us collect between calls, so that most calls need not.
func init() {
	debug.SetGCPercent(400)
}

//go:wasmexport lemma_rest
func rest() {
	clear(held)
	runtime.GC()
}

//go:wasmexport lemma_alloc
func alloc(size uint32) uint32 {
	return hold(make([]byte, max(size, 1)))
}

// call takes the request's address, and gives the answer's length and address as length<<32 | address. The answer is
// readable until the next call.
//
//go:wasmexport lemma_call
func call(request uint32) uint64 {
	text := held[request]
	clear(held)
	answer := answerTo(text)
	return uint64(len(answer))<<32 | uint64(hold(answer))
}

func hold(buffer []byte) uint32 {
	address := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(buffer))))
	held[address] = buffer
	return address
}
