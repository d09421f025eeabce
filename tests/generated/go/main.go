// Reads the records of each file into the generated type of its name, and writes what is in their fields as lines of JSON.
package main

import (
	"bufio"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"records/promoter"

	"github.com/twmb/avro"
)

// The generated types are structures and no more: the schemas are beside them.
//
//go:embed schemas/*.avsc
var schemas embed.FS

// For each record its schema and a place to decode it into.
var kinds = map[string]struct {
	file string
	new  func() any
}{
	"Touch":           {"touch.avsc", func() any { return new(promoter.Touch) }},
	"Order":           {"order.avsc", func() any { return new(promoter.Order) }},
	"DeadLetter":      {"dead-letter.avsc", func() any { return new(promoter.DeadLetter) }},
	"MaterialRequest": {"material-request.avsc", func() any { return new(promoter.MaterialRequest) }},
	"MaterialResult":  {"material-result.avsc", func() any { return new(promoter.MaterialResult) }},
	"Promoter":        {"promoter.avsc", func() any { return new(promoter.Promoter) }},
	"LedgerDay":       {"ledger-day.avsc", func() any { return new(promoter.LedgerDay) }},
}

type decoder struct {
	registry string
	schema   *avro.Schema
	new      func() any
	// By the ids of the schemas that wrote.
	resolved, registered map[uint32]*avro.Schema
}

func main() {
	records, out, registry := os.Args[1], os.Args[2], os.Args[3]
	for _, framing := range []string{"single", "confluent"} {
		check(os.MkdirAll(filepath.Join(out, framing), 0o755))
		for name, kind := range kinds {
			text, err := schemas.ReadFile("schemas/" + kind.file)
			check(err)
			schema, err := avro.Parse(string(text))
			check(err)
			reader := decoder{registry, schema, kind.new, map[uint32]*avro.Schema{}, map[uint32]*avro.Schema{}}
			reader.file(filepath.Join(records, framing, name+".bin"), filepath.Join(out, framing, name+".jsonl"))
		}
	}
}

func (d *decoder) file(from, to string) {
	data, err := os.ReadFile(from)
	check(err)
	file, err := os.Create(to)
	check(err)
	lines := bufio.NewWriter(file)
	for len(data) > 0 {
		end := 4 + binary.BigEndian.Uint32(data)
		line, err := json.Marshal(d.line(data[4:end]))
		check(err)
		fmt.Fprintln(lines, string(line))
		data = data[end:]
	}
	check(lines.Flush())
	check(file.Close())
}

func (d *decoder) line(value []byte) map[string]any {
	record := d.new()
	if err := d.decode(value, record); err != nil {
		return map[string]any{"error": err.Error()}
	}
	return plain(record)
}

func (d *decoder) decode(value []byte, record any) error {
	if order, is := record.(*promoter.Order); is {
		var err error
		*order, err = d.order(value)
		return err
	}
	var rest []byte
	var err error
	if value[0] == 0 {
		var schema *avro.Schema
		if schema, err = d.writer(binary.BigEndian.Uint32(value[1:])); err != nil {
			return err
		}
		rest, err = schema.Decode(value[5:], record)
	} else {
		// Compares the fingerprint, too.
		rest, err = d.schema.DecodeSingleObject(value, record)
	}
	return whole(rest, err)
}

// As docs/consuming.md shows it.
func (d *decoder) order(value []byte) (promoter.Order, error) {
	var order promoter.Order
	schema := d.schema
	if value[0] != 0 {
		rest, err := schema.DecodeSingleObject(value, &order)
		return order, whole(rest, err)
	}
	writer, err := d.text(binary.BigEndian.Uint32(value[1:]))
	if err != nil {
		return order, err
	}
	resolved, err := avro.Resolve(writer, schema)
	if err != nil {
		return order, err
	}
	rest, err := resolved.Decode(value[5:], &order)
	return order, whole(rest, err)
}

func whole(rest []byte, err error) error {
	if err == nil && len(rest) > 0 {
		err = errors.New("bytes are left")
	}
	return err
}

// The schema that wrote, as it is read by ours.
func (d *decoder) writer(id uint32) (*avro.Schema, error) {
	if schema, known := d.resolved[id]; known {
		return schema, nil
	}
	writer, err := d.text(id)
	if err != nil {
		return nil, err
	}
	schema, err := avro.Resolve(writer, d.schema)
	if err == nil {
		d.resolved[id] = schema
	}
	return schema, err
}

// The schema that wrote, as it is registered.
func (d *decoder) text(id uint32) (*avro.Schema, error) {
	if schema, known := d.registered[id]; known {
		return schema, nil
	}
	answer, err := http.Get(fmt.Sprintf("%s/schemas/ids/%d", d.registry, id))
	check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(err)
	var registered struct{ Schema string }
	check(json.Unmarshal(body, &registered))
	schema, err := avro.Parse(registered.Schema)
	check(err)
	d.registered[id] = schema
	return schema, nil
}

// The fields under their names in the schema: times as milliseconds, everything else as encoding/json writes it.
func plain(record any) map[string]any {
	structure := reflect.ValueOf(record).Elem()
	fields := map[string]any{}
	for i := range structure.NumField() {
		value := structure.Field(i).Interface()
		switch at := value.(type) {
		case time.Time:
			value = at.UnixMilli()
		case *time.Time:
			if at != nil {
				value = at.UnixMilli()
			}
		}
		fields[structure.Type().Field(i).Tag.Get("avro")] = value
	}
	return fields
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
