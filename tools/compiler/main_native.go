//go:build !wasip1

package main

import (
	"io"
	"os"
)

// The same program for the machine itself, to debug it: a request on standard input, the answer on standard output.
func main() {
	request, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.Write(answerTo(request)); err != nil {
		panic(err)
	}
}
