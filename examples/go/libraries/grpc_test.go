package libraries_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"moonbridge/engine"
	"moonbridge/handler"
)

// grpcClient serves gRPC's test service as an http.Handler, and returns a client of it.
func grpcClient(t *testing.T, goroutines int, limits engine.Limits) (grpc_testing.TestServiceClient, *grpc.ClientConn) {
	t.Helper()
	service := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(service, interop.NewTestServer())
	e, err := engine.New(engine.Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	ln, err := e.Open("tcp", "127.0.0.1:0", engine.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	limits.H2C = true
	if err := e.Serve(ln, handler.Blocking(handler.HTTP(service), goroutines), 0, limits); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(ln.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return grpc_testing.NewTestServiceClient(conn), conn
}

// TestGRPC: a gRPC server is an http.Handler that needs HTTP/2, trailers and both directions at once. What gRPC's own implementations
// test each other with ends the program if it fails.
func TestGRPC(t *testing.T) {
	c, conn := grpcClient(t, 0, engine.Limits{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, call := range map[string]func(){
		"empty":                       func() { interop.DoEmptyUnaryCall(ctx, c) },
		"large":                       func() { interop.DoLargeUnaryCall(ctx, c) },
		"client stream":               func() { interop.DoClientStreaming(ctx, c) },
		"server stream":               func() { interop.DoServerStreaming(ctx, c) },
		"both ways in turn":           func() { interop.DoPingPong(ctx, c) },
		"a stream of nothing":         func() { interop.DoEmptyStream(ctx, c) },
		"deadline":                    func() { interop.DoTimeoutOnSleepingServer(ctx, c) },
		"cancelled at the beginning":  func() { interop.DoCancelAfterBegin(ctx, c) },
		"cancelled after a response":  func() { interop.DoCancelAfterFirstResponse(ctx, c) },
		"fields and trailers":         func() { interop.DoCustomMetadata(ctx, c) },
		"status":                      func() { interop.DoStatusCodeAndMessage(ctx, c) },
		"status with odd characters":  func() { interop.DoSpecialStatusMessage(ctx, c) },
		"a method that is not there":  func() { interop.DoUnimplementedMethod(ctx, conn) },
		"a service that is not there": func() { interop.DoUnimplementedService(ctx, grpc_testing.NewUnimplementedServiceClient(conn)) },
		"many at a time": func() {
			var all sync.WaitGroup
			for range 32 {
				all.Go(func() {
					for range 20 {
						interop.DoEmptyUnaryCall(ctx, c)
					}
				})
			}
			all.Wait()
		},
	} {
		t.Run(name, func(*testing.T) { call() })
	}
}

// TestGRPCLimits: without limits a stream may pause and be of any size, as the guide says; with them it ends.
func TestGRPCLimits(t *testing.T) {
	piece := &grpc_testing.StreamingInputCallRequest{Payload: &grpc_testing.Payload{Body: make([]byte, 10_000)}}
	send := func(t *testing.T, c grpc_testing.TestServiceClient) (*grpc_testing.StreamingInputCallResponse, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		in, err := c.StreamingInputCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if err := in.Send(piece); err == io.EOF {
				break // CloseAndRecv has the reason
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return in.CloseAndRecv()
	}
	t.Run("size", func(t *testing.T) {
		c, _ := grpcClient(t, 1, engine.Limits{BodyBytes: 1 << 20})
		if _, err := send(t, c); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "request body too large" {
			t.Error(err)
		}
	})
	t.Run("pause", func(t *testing.T) {
		c, _ := grpcClient(t, 1, engine.Limits{StallTimeout: 100 * time.Millisecond})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		both, err := c.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := both.Recv(); status.Code(err) != codes.Internal && status.Code(err) != codes.Unavailable { // it has sent nothing
			t.Error(err)
		}
	})
	t.Run("none", func(t *testing.T) {
		c, _ := grpcClient(t, 1, engine.Limits{BodyBytes: -1, StallTimeout: -1, ResponseTimeout: -1})
		if r, err := send(t, c); err != nil || r.AggregatedPayloadSize != 3_000_000 {
			t.Error(r, err)
		}
	})
}

// TestGRPCLongStream: a client of gRPC measures the bandwidth of what it receives with PINGs, and gives window often. That is no flood.
func TestGRPCLongStream(t *testing.T) {
	c, _ := grpcClient(t, 0, engine.Limits{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience) // it computes all the time
	defer cancel()
	const messages, size = 20000, 4 << 10
	call, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{ResponseParameters: func() (list []*grpc_testing.ResponseParameters) {
		for range messages {
			list = append(list, &grpc_testing.ResponseParameters{Size: size})
		}
		return list
	}()})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		m, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("after %d messages: %v", n, err)
		}
		n++
		if len(m.Payload.Body) != size {
			t.Fatalf("message %d has %d bytes", n, len(m.Payload.Body))
		}
	}
	if n != messages {
		t.Errorf("%d messages of %d", n, messages)
	}
}
