// Reads a MeshConfig as JSON with Istio's own types: an unknown field or a value of another type is an error. Prints it
// back in its canonical form.
package main

import (
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"istio.io/api/mesh/v1alpha1"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		config := &v1alpha1.MeshConfig{}
		if err = protojson.Unmarshal(text, config); err == nil {
			text, err = protojson.Marshal(config)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}
