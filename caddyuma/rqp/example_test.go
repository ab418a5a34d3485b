package rqp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// demo answers in the place of three servers.
type demo struct{}

func (demo) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	switch at := r.URL.Host + r.URL.Path; {
	case at == "as.alice.example/.well-known/uma2-configuration":
		_, _ = io.WriteString(rec, `{"issuer":"https://as.alice.example","token_endpoint":"https://as.alice.example/token"}`)
	case at == "id.bob.example/.well-known/openid-configuration":
		_, _ = io.WriteString(rec, `{"issuer":"https://id.bob.example","token_endpoint":"https://id.bob.example/token"}`)
	case at == "id.bob.example/token":
		_, _ = io.WriteString(rec, `{"access_token":"claims-token-from-bob","issued_token_type":"urn:ietf:params:oauth:token-type:jwt","token_type":"N_A"}`)
	case at == "as.alice.example/token":
		_, _ = io.WriteString(rec, `{"access_token":"rpt-from-alice-0001","token_type":"Bearer"}`)
	case r.Header.Get("Authorization") == "":
		rec.Header().Set("WWW-Authenticate", `UMA as_uri="https://as.alice.example", ticket="ticket-from-alice"`)
		rec.WriteHeader(http.StatusUnauthorized)
	default:
		_, _ = io.WriteString(rec, "the orders")
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func demoConfig() rqp.Config {
	return rqp.Config{
		STS:            "https://id.bob.example",
		AccessToken:    func(context.Context) (string, error) { return "access-token-of-bob", nil },
		AllowedOrigins: []string{"https://api.alice.example"},
		Names:          map[string]string{"RS API": "https://api.alice.example"},
		Pins:           map[string][]string{"https://api.alice.example": {"https://as.alice.example"}},
		HTTPClient:     &http.Client{Transport: demo{}}, // leave it out to use the network
	}
}

func ExampleClient_Do() {
	cfg := demoConfig()
	cfg.Trace = func(s rqp.Step) {
		if s.Number > 0 {
			fmt.Println(strings.SplitN(s.String(), ":", 2)[0])
		}
	}
	client, err := rqp.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	req, _ := http.NewRequest(http.MethodGet, "https://api.alice.example/orders", nil)
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output:
	// 1. client -> api.alice.example
	// 2. api.alice.example -> client
	// 3. client
	// 4. client -> id.bob.example
	// 5. id.bob.example -> client
	// 6. client -> as.alice.example
	// 7. as.alice.example -> client
	// 8. client -> api.alice.example
	// 9. api.alice.example -> client
	// 200 the orders
}

func ExampleTransport() {
	client, err := rqp.New(demoConfig())
	if err != nil {
		fmt.Println(err)
		return
	}
	web := &http.Client{Transport: &rqp.Transport{Client: client}}
	resp, err := web.Get("https://api.alice.example/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

func ExampleStepError() {
	fmt.Println(&rqp.StepError{
		Step: 6, Name: "asking the authorization server for an RPT", Who: "as.alice.example", Status: 403,
		Code: "request_denied", DecisionID: "Zm9v", Hint: "asking the owner of the resource",
	})
	// Output: step 6, asking the authorization server for an RPT, failed: as.alice.example said request_denied (status 403); decision Zm9v. Try: asking the owner of the resource
}
