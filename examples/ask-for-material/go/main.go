// Asks for a promoter's material and waits for the reply, with a deadline.
//
// Prints the reply, but for its image, as JSON. Ends with 0 for SUCCEEDED, 1 for any other reply, 3 where none came in time.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	requests    = "promoter.material.requests"
	results     = "promoter.material.results"
	correlation = "correlation-id"
	// The reply EXPIRED is written within seconds of the deadline; whoever gave up at the deadline itself would miss it.
	replyGrace = 15 * time.Second
)

// C3 01 and the schema's fingerprint as `promoter-connector schemas list` prints it under "single object".
var header = []byte{0xc3, 0x01, 0x84, 0x54, 0x99, 0x84, 0xe4, 0x61, 0xae, 0x99}

// The fields that are shown; what is left out of the structure is skipped.
type reply struct {
	RequestID string  `avro:"request_id" json:"request_id"`
	Promoter  string  `avro:"promoter_openid" json:"promoter_openid"`
	Status    string  `avro:"status" json:"status"`
	SharePath *string `avro:"share_path" json:"share_path"`
	Tag       *string `avro:"tag" json:"tag"`
	ErrMsg    *string `avro:"errmsg" json:"errmsg"`
	QRCode    *[]byte `avro:"qrcode" json:"-"`
}

func main() {
	bootstrap := flag.String("bootstrap", "localhost:9092", "HOST:PORT of a broker")
	app := flag.String("app", "", "appid of the Mini Program")
	promoter := flag.String("promoter", "", "the promoter's id")
	path := flag.String("path", "", "the page of the Mini Program")
	extra := flag.String("extra-info", "", "comes back as share_extra_info of touches and orders; 80 bytes at most")
	within := flag.Duration("within", 30*time.Second, "until when the reply is of use")
	out := flag.String("out", "", "where the QR code goes")
	schemaFile := flag.String("schema", "../../../schemas/material-result.avsc", "of the replies")
	flag.Parse()
	text, err := os.ReadFile(*schemaFile)
	check(err)
	schema, err := avro.ParseBytes(text)
	check(err)

	request := map[string]any{"request_id": rand.Text(), "app_id": *app, "promoter_openid": *promoter, "path": *path,
		"deadline": time.Now().Add(*within).UTC().Format("2006-01-02T15:04:05.000Z")}
	if *extra != "" {
		request["extra_info"] = *extra
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(*within, 0)+replyGrace)
	defer cancel()
	found, err := ask(ctx, *bootstrap, *app+"/"+*promoter, request, schema)
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "no reply in time; the request may have been carried out")
		os.Exit(3)
	}
	check(err)
	// First: where the image can't be written, the link at least is kept.
	check(json.NewEncoder(os.Stdout).Encode(found))
	if *out != "" && found.QRCode != nil {
		check(os.WriteFile(*out, *found.QRCode, 0o644))
	}
	if found.Status != "SUCCEEDED" {
		os.Exit(1)
	}
}

// ask stands at the end of every partition of the replies before it sends anything, reads without a group, for within one somebody else
// would be given the reply, and takes the one with its own header.
func ask(ctx context.Context, bootstrap, key string, request map[string]any, schema avro.Schema) (reply, error) {
	ends, err := endsOf(ctx, bootstrap)
	if err != nil {
		return reply{}, err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{results: ends}),
		// franz-go shows what was aborted unless it is told not to.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return reply{}, err
	}
	defer client.Close()
	value, err := json.Marshal(request)
	if err != nil {
		return reply{}, err
	}
	id := request["request_id"].(string)
	record := &kgo.Record{Topic: requests, Key: []byte(key), Value: value, Headers: []kgo.RecordHeader{
		{Key: "content-type", Value: []byte("application/json")}, {Key: correlation, Value: []byte(id)}}}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return reply{}, err
	}
	for ctx.Err() == nil {
		for _, record := range client.PollFetches(ctx).Records() {
			if headerOf(record) != id {
				continue
			}
			found, err := decode(record.Value, schema)
			// One that names another request or promoter is forged: whoever may ask can have a reply written under any header. Too long
			// an id comes back cut, and REJECTED.
			if err != nil || found.RequestID == id && (found.Promoter == request["promoter_openid"] || found.Status == "REJECTED") {
				return found, err
			}
		}
	}
	return reply{}, ctx.Err()
}

func endsOf(ctx context.Context, bootstrap string) (map[int32]kgo.Offset, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListCommittedOffsets(ctx, results)
	if err != nil {
		return nil, err
	}
	ends := map[int32]kgo.Offset{}
	listed.Each(func(end kadm.ListedOffset) { ends[end.Partition] = kgo.NewOffset().At(end.Offset) })
	return ends, listed.Error()
}

func headerOf(record *kgo.Record) string {
	for _, each := range record.Headers {
		if each.Key == correlation {
			return string(each.Value)
		}
	}
	return ""
}

func decode(value []byte, schema avro.Schema) (found reply, err error) {
	if !bytes.HasPrefix(value, header) {
		return found, fmt.Errorf("written by another schema: %x", value[:min(10, len(value))])
	}
	err = avro.Unmarshal(schema, value[len(header):], &found)
	return found, err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
