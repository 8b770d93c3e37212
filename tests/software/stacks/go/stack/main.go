// Go's own HTTP stack: `stack serve PORT` answers, `stack ask PORT` asks and prints `ok`. Answers have
// a trailer; the server takes HTTP/2 by prior knowledge as well, and `ask2` asks by it.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
)

const big = 4 << 20

func serve(place string) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(answer http.ResponseWriter, _ *http.Request) {
		io.WriteString(answer, "small")
	})
	mux.HandleFunc("GET /big", func(answer http.ResponseWriter, _ *http.Request) {
		answer.Write(bytes.Repeat([]byte("b"), big))
	})
	mux.HandleFunc("POST /echo", func(answer http.ResponseWriter, request *http.Request) {
		if err := http.NewResponseController(answer).EnableFullDuplex(); err != nil && request.ProtoMajor == 1 {
			log.Print(err)
		}
		answer.Header().Set("Trailer", "X-Count")
		answer.Header().Set("X-Host", request.Host)
		count, err := io.Copy(answer, request.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		answer.Header().Set("X-Count", fmt.Sprint(count))
	})
	server := &http.Server{Addr: place, Handler: mux, Protocols: protocols(true, true)}
	log.Fatal(server.ListenAndServe())
}

func protocols(one, two bool) *http.Protocols {
	spoken := new(http.Protocols)
	spoken.SetHTTP1(one)
	spoken.SetUnencryptedHTTP2(two)
	return spoken
}

func ask(place string, two bool) {
	client := &http.Client{Transport: &http.Transport{Protocols: protocols(!two, two)}}
	read := func(answer *http.Response, err error) []byte {
		if err != nil {
			log.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != 200 {
			log.Fatal(answer.Status, err)
		}
		if count := answer.Trailer.Get("X-Count"); count != "" && count != fmt.Sprint(len(body)) {
			log.Fatal("trailer ", count, " after ", len(body))
		}
		return body
	}
	same := func(what string, got, want []byte) {
		if !bytes.Equal(got, want) {
			log.Fatal(what, ": ", len(got), " bytes instead of ", len(want))
		}
	}
	url := "http://" + place
	for range 100 {
		same("small", read(client.Get(url+"/small")), []byte("small"))
	}
	same("big", read(client.Get(url+"/big")), bytes.Repeat([]byte("b"), big))
	body := make([]byte, 1<<20)
	for at := range body {
		body[at] = byte(at)
	}
	same("echo", read(client.Post(url+"/echo", "", bytes.NewReader(body))), body)
	// A reader of unknown length is sent in chunks.
	unknown := struct{ io.Reader }{bytes.NewReader(body)}
	same("chunks", read(client.Post(url+"/echo", "", unknown)), body)
	var together sync.WaitGroup
	for range 50 {
		together.Go(func() { same("small", read(client.Get(url+"/small")), []byte("small")) })
	}
	together.Wait()
	fmt.Println("ok")
}

func main() {
	place := "127.0.0.1:" + os.Args[2]
	switch os.Args[1] {
	case "serve":
		serve(place)
	case "ask":
		ask(place, false)
	case "ask2":
		ask(place, true)
	}
}
