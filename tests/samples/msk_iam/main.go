// Tokens as Amazon's own library makes them. Prints what tests/samples/msk_iam/tokens.json holds:
//
//	go run . > tokens.json
//
// The credentials are examples and open nothing. The time of a token is that of the run, and stands in the token.
package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Of the second the session token has every letter that is written otherwise in a URL.
var cases = []sample{
	{Region: "us-east-1", Id: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	{Region: "cn-north-1", Id: "ASIDEXAMPLE", Secret: "s3cr/et+key=", Session: "Session/Token+with=all~of-them_.*"},
}

type sample struct {
	Region    string `json:"region"`
	Id        string `json:"access_key_id"`
	Secret    string `json:"secret_access_key"`
	Session   string `json:"session_token,omitempty"`
	Token     string `json:"token"`
	ExpiresMs int64  `json:"expires_ms"`
}

func main() {
	for i := range cases {
		one := &cases[i]
		provider := credentials.NewStaticCredentialsProvider(one.Id, one.Secret, one.Session)
		token, expires, err := signer.GenerateAuthTokenFromCredentialsProvider(context.Background(), one.Region, provider)
		if err != nil {
			panic(err)
		}
		one.Token, one.ExpiresMs = token, expires
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(cases); err != nil {
		panic(err)
	}
}
