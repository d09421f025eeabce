// Reads a dashboard as JSON from its input, by the types that Grafana's makers publish, and refuses what those do not have.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		refuse(err.Error())
	}
	var strict, read dashboard.Dashboard
	// Where it finds nothing it may give an error all the same, without a word.
	if err := strict.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		refuse(err.Error())
	}
	// Read strictly it has no panels.
	if err := json.Unmarshal(text, &read); err != nil {
		refuse(err.Error())
	}
	if err := read.Validate(); err != nil && err.Error() != "" {
		refuse(err.Error())
	}
	for _, one := range read.Panels {
		if one.Panel == nil {
			continue
		}
		if _, isKnown := cog.ConfigForPanelcfgVariant(one.Panel.Type); !isKnown {
			refuse("no panel is of the type " + one.Panel.Type)
		}
	}
}

func refuse(why string) {
	fmt.Println(why)
	os.Exit(1)
}
