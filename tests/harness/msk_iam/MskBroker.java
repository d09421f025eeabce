import java.io.IOException;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/** Kafka with a listener that lets in whoever shows a token that the one key it knows has signed, as Amazon MSK does. */
public class MskBroker {
    public static void main(String[] arguments) {
        // Java has it compiled in memory, where nobody else would look for the class below.
        Thread.currentThread().setContextClassLoader(MskBroker.class.getClassLoader());
        kafka.Kafka.main(arguments);
    }

    public static class Validator implements AuthenticateCallbackHandler {
        private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("uuuuMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
        private String keyId;
        private String secret;
        private String region;

        @Override
        public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
            Map<String, ?> options = entries.get(0).getOptions();
            keyId = (String) options.get("keyId");
            secret = (String) options.get("secret");
            region = (String) options.get("region");
        }

        @Override
        public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
            for (Callback callback : callbacks) {
                if (callback instanceof OAuthBearerValidatorCallback asked) {
                    try {
                        asked.token(validated(asked.tokenValue()));
                    } catch (GeneralSecurityException | RuntimeException refusal) {
                        asked.error("invalid_token: " + refusal.getMessage(), null, null);
                    }
                } else if (callback instanceof OAuthBearerExtensionsValidatorCallback asked) {
                    asked.inputExtensions().map().keySet().forEach(asked::valid);
                } else {
                    throw new UnsupportedCallbackException(callback);
                }
            }
        }

        @Override
        public void close() {}

        private OAuthBearerToken validated(String token) throws GeneralSecurityException {
            URI url = URI.create(new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8));
            TreeMap<String, String> query = new TreeMap<>();
            for (String pair : url.getRawQuery().split("&")) {
                String[] parts = pair.split("=", 2);
                must(query.put(decoded(parts[0]), decoded(parts[1])) == null, "something is given twice");
            }
            String signature = query.remove("X-Amz-Signature");
            // Added when all was signed.
            must(query.remove("User-Agent").startsWith("promoter-connector/"), "somebody else's");
            must(url.getHost().equals("kafka." + region + ".amazonaws.com") && url.getPath().equals("/"), "another place");
            must("kafka-cluster:Connect".equals(query.get("Action")), "another action");
            must("AWS4-HMAC-SHA256".equals(query.get("X-Amz-Algorithm")), "another algorithm");
            String date = query.get("X-Amz-Date");
            String scope = date.substring(0, 8) + "/" + region + "/kafka-cluster/aws4_request";
            must((keyId + "/" + scope).equals(query.get("X-Amz-Credential")), "another key or scope");
            Instant signed = Instant.from(TIME.parse(date));
            Instant ends = signed.plusSeconds(Long.parseLong(query.get("X-Amz-Expires")));
            must(Instant.now().isBefore(ends) && !ends.isAfter(signed.plusSeconds(900)), "not of this time");
            String sorted = query.entrySet().stream()
                    .map(pair -> encoded(pair.getKey()) + "=" + encoded(pair.getValue()))
                    .collect(Collectors.joining("&"));
            String request = "GET\n/\n" + sorted + "\nhost:" + url.getHost() + "\n\nhost\n" + hex(sha256(""));
            String toSign = "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hex(sha256(request));
            byte[] key = ("AWS4" + secret).getBytes(StandardCharsets.UTF_8);
            for (String part : scope.split("/")) {
                key = hmac(key, part);
            }
            must(hex(hmac(key, toSign)).equals(signature), "another signature");
            return new Token(token, ends.toEpochMilli(), signed.toEpochMilli());
        }

        private static void must(boolean holds, String otherwise) throws GeneralSecurityException {
            if (!holds) {
                throw new GeneralSecurityException(otherwise);
            }
        }

        private static String decoded(String text) {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        }

        private static String encoded(String text) {
            return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
        }

        private static String hex(byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }

        private static byte[] sha256(String text) throws GeneralSecurityException {
            return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
        }

        private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
        }
    }

    private record Token(String value, long lifetimeMs, Long startTimeMs) implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public String principalName() {
            return "msk";
        }
    }
}
