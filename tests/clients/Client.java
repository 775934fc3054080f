import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Java's own client as it is by default: over plain HTTP each request offers an upgrade to HTTP/2. */
public class Client {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final String LENGTH = "Inference-Header-Content-Length";
    private static final String ROW =
        "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[2,0,0]}]}";

    interface Check {
        void run() throws Exception;
    }

    private static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            System.out.println("no " + name + ": " + error);
        }
    }

    private static void expect(Object found, Object expected) {
        if (!expected.equals(found)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    private static void contains(String found, String part) {
        if (!found.contains(part)) {
            throw new AssertionError("found " + found + ", expected " + part + " in it");
        }
    }

    private static HttpRequest.Builder to(String url) {
        return HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(30));
    }

    private static HttpResponse<String> post(String url, String body) throws Exception {
        return CLIENT.send(to(url).POST(BodyPublishers.ofString(body)).build(), BodyHandlers.ofString());
    }

    private static HttpResponse<byte[]> binary(String url, String json, byte[] tail) throws Exception {
        byte[] head = json.getBytes(StandardCharsets.UTF_8);
        byte[] body = ByteBuffer.allocate(head.length + tail.length).put(head).put(tail).array();
        HttpRequest request = to(url).header(LENGTH, String.valueOf(head.length))
            .header("Content-Type", "application/octet-stream").POST(BodyPublishers.ofByteArray(body)).build();
        return CLIENT.send(request, BodyHandlers.ofByteArray());
    }

    public static void main(String[] arguments) {
        String churn = arguments[0] + "/v2/models/churn";
        String texts = arguments[1] + "/v2/models/churn";

        check("JSON", () -> {
            HttpResponse<String> answer = post(churn + "/infer", ROW);
            expect(answer.statusCode(), 200);
            contains(answer.body(), "\"name\":\"label\",\"datatype\":\"INT64\",\"shape\":[1],\"data\":[1]");
        });
        check("a body that comes in parts of its own", () -> {
            HttpRequest request = to(churn + "/infer")
                .POST(BodyPublishers.fromPublisher(BodyPublishers.ofString(ROW))).build();
            expect(CLIENT.send(request, BodyHandlers.ofString()).statusCode(), 200);
        });
        check("a request inside a body is no request", () -> {
            HttpResponse<String> answer = post(churn + "/infer", "GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n");
            expect(answer.statusCode(), 400);
            contains(answer.body(), "\"error\"");
        });
        check("binary tensors", () -> {
            byte[] row = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN).putFloat(2).putFloat(0).putFloat(0).array();
            HttpResponse<byte[]> answer = binary(churn + "/infer",
                "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,3],"
                + "\"parameters\":{\"binary_data_size\":12}}],\"outputs\":[{\"name\":\"label\","
                + "\"parameters\":{\"binary_data\":true}}]}", row);
            expect(answer.statusCode(), 200);
            int length = Integer.parseInt(answer.headers().firstValue(LENGTH).orElseThrow());
            expect(ByteBuffer.wrap(answer.body(), length, 8).order(ByteOrder.LITTLE_ENDIAN).getLong(), 1L);
        });
        check("texts and numbers that are none", () -> {
            String answer = post(texts + "/infer",
                "{\"inputs\":[{\"name\":\"t\",\"datatype\":\"BYTES\",\"shape\":[3],\"data\":[\"Z\u00fcrich\",\"\",\"\\\"\"]},"
                + "{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[3],\"data\":[\"" + Double.NaN + "\",\""
                + Double.POSITIVE_INFINITY + "\",\"" + Double.NEGATIVE_INFINITY + "\"]},"
                + "{\"name\":\"b\",\"datatype\":\"FP32\",\"shape\":[3],\"data\":[0,0,0]}]}").body();
            contains(answer, "[\"Z\u00fcrich\",\"\",\"\\\"\"]");
            contains(answer, "[null,\"Infinity\",\"-Infinity\"]");
        });
        check("the own version", () -> {
            expect(post(churn + "/versions/churn-1/infer", ROW).statusCode(), 200);
            expect(post(churn + "/versions/churn-2/infer", ROW).statusCode(), 404);
        });
        check("health by HEAD", () -> {
            HttpRequest request = to(arguments[0] + "/v2/health/ready")
                .method("HEAD", BodyPublishers.noBody()).build();
            HttpResponse<String> answer = CLIENT.send(request, BodyHandlers.ofString());
            expect(answer.statusCode() + answer.body(), "200");
        });
        check("a body over the limit is answered", () -> {
            HttpRequest request = to(churn + "/infer").POST(BodyPublishers.ofByteArray(new byte[24_000_000])).build();
            HttpResponse<String> answer = CLIENT.send(request, BodyHandlers.ofString());
            expect(answer.statusCode(), 413);
            contains(answer.body(), "are accepted");
        });
        check("many at a time", () -> {
            List<CompletableFuture<HttpResponse<String>>> sent = new ArrayList<>();
            for (int number = 0; number < 64; number++) {
                HttpRequest request = to(churn + "/infer").POST(BodyPublishers.ofString(ROW)).build();
                sent.add(CLIENT.sendAsync(request, BodyHandlers.ofString()));
            }
            for (CompletableFuture<HttpResponse<String>> answer : sent) {
                expect(answer.get().statusCode(), 200);
            }
        });
    }
}
