// Renders a chart as Helm does, and prints its objects as one JSON array: as `helm install` with these arguments would, or with
// the values that standard input has.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"sort"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

var separator = regexp.MustCompile(`(?m)^---\s*$`)

func main() {
	if err := render(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func render() error {
	asked, err := ask(os.Args[1:])
	if err != nil {
		return err
	}
	chart, err := loader.LoadDir(asked.folder)
	if err != nil {
		return err
	}
	release := chartutil.ReleaseOptions{Name: asked.name, Namespace: asked.namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, asked.values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, values)
	if err != nil {
		return err
	}
	objects, err := objectsOf(files)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(objects)
}

// asked is a release of the chart in a folder.
type asked struct {
	folder, name, namespace string
	values                  map[string]any
}

func ask(args []string) (asked, error) {
	if len(args) > 0 && args[0] == "install" {
		return install(args[1:])
	}
	if len(args) != 3 {
		return asked{}, errors.New("give the chart's folder, the release's name and its namespace")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return asked{}, err
	}
	values, err := chartutil.ReadValues(text)
	return asked{args[0], args[1], args[2], values}, err
}

// install understands the flags of `helm install` that say what is rendered.
func install(args []string) (asked, error) {
	flags := pflag.NewFlagSet("install", pflag.ContinueOnError)
	namespace := flags.String("namespace", "default", "of the release")
	flags.Bool("create-namespace", false, "it need not be there")
	plain := flags.StringArray("set", nil, "a value")
	texts := flags.StringArray("set-string", nil, "a value that is a text")
	files := flags.StringArray("set-file", nil, "a value that is a file's text")
	if err := flags.Parse(args); err != nil {
		return asked{}, err
	}
	if flags.NArg() != 2 {
		return asked{}, errors.New("name the release and the chart")
	}
	values := map[string]any{}
	read := func(name []rune) (any, error) {
		text, err := os.ReadFile(string(name))
		return string(text), err
	}
	for _, value := range *plain {
		if err := strvals.ParseInto(value, values); err != nil {
			return asked{}, err
		}
	}
	for _, value := range *texts {
		if err := strvals.ParseIntoString(value, values); err != nil {
			return asked{}, err
		}
	}
	for _, value := range *files {
		if err := strvals.ParseIntoFile(value, values, read); err != nil {
			return asked{}, err
		}
	}
	return asked{flags.Arg(1), flags.Arg(0), *namespace, values}, nil
}

func objectsOf(files map[string]string) ([]map[string]any, error) {
	var names []string
	for name := range files {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	objects := []map[string]any{}
	for _, name := range names {
		for _, document := range separator.Split(files[name], -1) {
			var object map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, document)
			}
			if len(object) > 0 {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}
