// Go's own client as it is by default: it keeps connections and asks for gzip.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

const (
	row    = `{"inputs":[{"name":"features","datatype":"FP32","shape":[1,3],"data":[2,0,0]}]}`
	length = "Inference-Header-Content-Length"
)

type tensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int64        `json:"shape"`
	Data       []any          `json:"data,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

type request struct {
	ID     string   `json:"id,omitempty"`
	Inputs []tensor `json:"inputs"`
}

type reply struct {
	ID           string   `json:"id"`
	ModelVersion string   `json:"model_version"`
	Outputs      []tensor `json:"outputs"`
	Error        string   `json:"error"`
}

func check(name string, run func() error) {
	if err := run(); err != nil {
		fmt.Printf("no %s: %v\n", name, err)
		return
	}
	fmt.Printf("ok %s\n", name)
}

func same(found, expected any) error {
	if fmt.Sprint(found) != fmt.Sprint(expected) {
		return fmt.Errorf("found %v, expected %v", found, expected)
	}
	return nil
}

func post(url string, body []byte, headers ...string) (*http.Response, []byte, error) {
	asked, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i < len(headers); i += 2 {
		asked.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(asked)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer, content, err
}

func infer(url string, asked request) (reply, error) {
	var found reply
	body, err := json.Marshal(asked)
	if err != nil {
		return found, err
	}
	answer, content, err := post(url+"/infer", body, "Content-Type", "application/json")
	if err != nil {
		return found, err
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return found, err
	}
	if answer.StatusCode != http.StatusOK {
		return found, fmt.Errorf("%d %s", answer.StatusCode, found.Error)
	}
	return found, nil
}

func main() {
	churn, texts := os.Args[1]+"/v2/models/churn", os.Args[2]+"/v2/models/churn"

	check("JSON", func() error {
		features := tensor{Name: "features", Datatype: "FP32", Shape: []int64{1, 3}, Data: []any{2, 0, 0}}
		found, err := infer(churn, request{ID: "mine", Inputs: []tensor{features}})
		if err != nil {
			return err
		}
		return same([]any{found.ID, found.ModelVersion, found.Outputs[0].Data}, []any{"mine", "churn-1", []any{1}})
	})
	check("texts and numbers that are none", func() error {
		found, err := infer(texts, request{Inputs: []tensor{
			{Name: "t", Datatype: "BYTES", Shape: []int64{3}, Data: []any{"Zürich", "", "<\">"}},
			{Name: "a", Datatype: "FP32", Shape: []int64{3}, Data: []any{nil, "Infinity", "-Infinity"}},
			{Name: "b", Datatype: "FP32", Shape: []int64{3}, Data: []any{0, 0, 0}},
		}})
		if err != nil {
			return err
		}
		return same([]any{found.Outputs[0].Data, found.Outputs[1].Data},
			[]any{[]any{nil, "Infinity", "-Infinity"}, []any{"Zürich", "", "<\">"}})
	})
	check("binary tensors", func() error {
		head := []byte(`{"inputs":[{"name":"features","datatype":"FP32","shape":[1,3],"parameters":` +
			`{"binary_data_size":12}}],"parameters":{"binary_data_output":true}}`)
		body := bytes.NewBuffer(bytes.Clone(head))
		binary.Write(body, binary.LittleEndian, []float32{2, 0, 0})
		answer, content, err := post(churn+"/infer", body.Bytes(), length, strconv.Itoa(len(head)))
		if err != nil {
			return err
		}
		end, err := strconv.Atoi(answer.Header.Get(length))
		if err != nil {
			return fmt.Errorf("%d %s: %w", answer.StatusCode, content, err)
		}
		label := int64(binary.LittleEndian.Uint64(content[end:]))
		sum := math.Float32frombits(binary.LittleEndian.Uint32(content[end+8:])) +
			math.Float32frombits(binary.LittleEndian.Uint32(content[end+12:]))
		return same([]any{label, math.Round(float64(sum) * 1000)}, []any{1, 1000})
	})
	check("a large answer, which comes packed", func() error {
		rows := 1000
		features := tensor{Name: "features", Datatype: "FP32", Shape: []int64{int64(rows), 3}}
		for number := 0; number < 3*rows; number++ {
			features.Data = append(features.Data, 0.5)
		}
		body, _ := json.Marshal(request{Inputs: []tensor{features}})
		answer, content, err := post(churn+"/infer", body)
		if err != nil {
			return err
		}
		var found reply
		if err := json.Unmarshal(content, &found); err != nil {
			return err
		}
		return same([]any{answer.Uncompressed, len(found.Outputs[0].Data)}, []any{true, rows})
	})
	check("the own version", func() error {
		own, _, err := post(churn+"/versions/churn-1/infer", []byte(row))
		if err != nil {
			return err
		}
		other, _, err := post(churn+"/versions/churn-2/infer", []byte(row))
		if err != nil {
			return err
		}
		return same([]int{own.StatusCode, other.StatusCode}, []int{200, 404})
	})
	check("health by HEAD", func() error {
		answer, err := http.Head(os.Args[1] + "/v2/health/ready")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return same(answer.StatusCode, 200)
	})
	check("a body over the limit is answered", func() error {
		answer, content, err := post(churn+"/infer", make([]byte, 24_000_000))
		if err != nil {
			return err
		}
		return same([]any{answer.StatusCode, strings.Contains(string(content), "are accepted")}, []any{413, true})
	})
	check("many at a time", func() error {
		var wait sync.WaitGroup
		failures := make(chan error, 64)
		for number := 0; number < 64; number++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				answer, content, err := post(churn+"/infer", []byte(row))
				if err == nil && answer.StatusCode != 200 {
					err = fmt.Errorf("%d %s", answer.StatusCode, content)
				}
				if err != nil {
					failures <- err
				}
			}()
		}
		wait.Wait()
		close(failures)
		return <-failures
	})
}
