// Reads a ServiceMonitor as JSON from its input, by the very types of the operator, and refuses fields that it does not have.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

func main() {
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	var read monitoring.ServiceMonitor
	if err := decoder.Decode(&read); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if read.Spec.Selector.Size() == 0 || len(read.Spec.Endpoints) == 0 {
		fmt.Println("it selects nothing, or asks for nothing")
		os.Exit(1)
	}
}
