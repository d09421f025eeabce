// Reads promoter.orders with franz-go and hamba/avro until nothing has come for five seconds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// C3 01 and the schema's fingerprint as `promoter-connector schemas list` prints it under "single object". hamba/avro finds another one
// for schemas with documented fields and logical types, so its own reader of single objects knows none of these values.
var header = []byte{0xc3, 0x01, 0x3f, 0x63, 0x2d, 0x74, 0xf2, 0x63, 0xd5, 0xb2}

// The fields that are looked at; what is left out of the structure is skipped.
type order struct {
	EventID    string `avro:"event_id"`
	Status     string `avro:"status"`
	PaidAmount int64  `avro:"paid_amount"`
}

func main() {
	bootstrap, topic, schemaFile := os.Args[1], os.Args[2], os.Args[3]
	text, err := os.ReadFile(schemaFile)
	check(err)
	schema, err := avro.ParseBytes(text)
	check(err)
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumerGroup("orders-go"),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// franz-go shows what was aborted unless it is told not to.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	check(err)
	defer client.Close()

	events, ids, paid := 0, map[string]bool{}, int64(0)
	for {
		// The group takes some seconds before the first one comes.
		wait := 5 * time.Second
		if events == 0 {
			wait = 30 * time.Second
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		fetches := client.PollFetches(ctx)
		cancel()
		if ctx.Err() != nil && fetches.NumRecords() == 0 {
			break
		}
		for _, failure := range fetches.Errors() {
			log.Fatal(failure)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			if !bytes.HasPrefix(record.Value, header) {
				log.Fatalf("written by another schema: %x", record.Value[:min(10, len(record.Value))])
			}
			var fields order
			check(avro.Unmarshal(schema, record.Value[len(header):], &fields))
			events++
			ids[fields.EventID] = true
			if fields.Status == "PAID" {
				paid += fields.PaidAmount
			}
		})
	}
	line, err := json.Marshal(map[string]any{"events": events, "ids": len(ids), "paid": paid})
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
