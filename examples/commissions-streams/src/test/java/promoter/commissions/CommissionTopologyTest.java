package promoter.commissions;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.errors.StreamsException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import promoter.Order;

/** The whole topology, without a broker: which events make which results. */
class CommissionTopologyTest {
    private static final String PROMOTER = "wx1/oABC";
    private static final Instant LATE_IN_BEIJING = Instant.parse("2026-11-26T15:59:59Z");
    private static final Instant NEXT_DAY_IN_BEIJING = Instant.parse("2026-11-26T16:00:00Z");

    @TempDir
    Path directory;

    private TopologyTestDriver driver;
    private TestInputTopic<String, byte[]> orders;
    private TestOutputTopic<String, byte[]> commissions;

    @BeforeEach
    void start() {
        var settings = new Properties();
        settings.putAll(Map.of(
            "application.id", "test", "bootstrap.servers", "nowhere:1", "state.dir", directory.toString(),
            "orders.topic", "orders", "commissions.topic", "commissions", "commission.basis.points", "500"));
        driver = new TopologyTestDriver(CommissionTopology.build(settings), settings);
        orders = driver.createInputTopic("orders", new StringSerializer(), new ByteArraySerializer());
        commissions = driver.createOutputTopic("commissions", new StringDeserializer(),
            (topic, value) -> value);
    }

    @AfterEach
    void stop() {
        driver.close();
    }

    @Test
    void aPaymentEarnsOnItsBeijingDay() throws Exception {
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        send("2", "PAID", 2000, NEXT_DAY_IN_BEIJING);
        assertEquals(Map.of(day(26), 50L, day(27), 100L), latest());
    }

    @Test
    void fractionsOfAFenAreCutOffOrderByOrder() throws Exception {
        send("1", "PAID", 39, LATE_IN_BEIJING);
        send("2", "PAID", 39, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 2L), latest());
    }

    @Test
    void aRefundCorrectsTheDayOfThePayment() throws Exception {
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        send("2", "PAID", 2000, LATE_IN_BEIJING);
        send("1", "REFUNDED", 1000, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 100L), latest());
    }

    @Test
    void severalRefundsOfAnOrderTakeItsCommissionOnce() throws Exception {
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        send("1", "REFUNDED", 1000, LATE_IN_BEIJING);
        send("1", "REFUNDED", 1000, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 0L), latest());
    }

    @Test
    void aRefundMayComeBeforeItsPayment() throws Exception {
        send("1", "REFUNDED", 1000, LATE_IN_BEIJING);
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        assertTrue(commissions.isEmpty());
    }

    @Test
    void aPaymentThatComesTwiceEarnsOnce() throws Exception {
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 50L), latest());
    }

    @Test
    void anOrderUnderTwoPromotersEarnsForEach() throws Exception {
        send("oABC", "1600000001", "1", "PAID", 1000, LATE_IN_BEIJING);
        send("oDEF", "1600000001", "1", "PAID", 1000, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 50L, "wx1/oDEF/2026-11-26", 50L), latest());
    }

    @Test
    void twoMerchantsMayGiveOneNumber() throws Exception {
        send("oABC", "1600000001", "1", "PAID", 1000, LATE_IN_BEIJING);
        send("oABC", "1600000002", "1", "PAID", 1000, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 100L), latest());
    }

    @Test
    void aWordThatNobodyKnowsChangesNothing() throws Exception {
        send("1", "PAID", 1000, LATE_IN_BEIJING);
        send("1", "UNKNOWN", 1000, LATE_IN_BEIJING);
        assertEquals(Map.of(day(26), 50L), latest());
    }

    @Test
    void anUnknownOrderEarnsNothing() throws Exception {
        send("1", "UNKNOWN", 1000, LATE_IN_BEIJING);
        assertTrue(commissions.isEmpty());
    }

    @Test
    void aValueThatCannotBeReadEndsTheApplication() {
        assertThrows(StreamsException.class, () -> orders.pipeInput(PROMOTER, new byte[] {1, 2, 3}));
    }

    private void send(String trade, String status, long fen, Instant paid) throws Exception {
        send("oABC", "1600000001", trade, status, fen, paid);
    }

    private void send(String promoter, String merchant, String trade, String status, long fen, Instant paid) throws Exception {
        Order order = Order.newBuilder().setEventId("0".repeat(32)).setAppId("wx1").setIdKind("OPENID")
            .setPromoterOpenid(promoter).setOpenid("oUSER").setMchId(merchant).setTradeNo(trade).setStatus(status)
            .setStatusCode(1).setPaidAmount(fen).setPaidTime(paid).setObservedAt(paid).build();
        ByteBuffer encoded = Order.getEncoder().encode(order);
        byte[] value = new byte[encoded.remaining()];
        encoded.get(value);
        orders.pipeInput("wx1/" + promoter, value);
    }

    private static String day(int day) {
        return PROMOTER + "/2026-11-" + day;
    }

    /** The latest result of each key, in fen. */
    private Map<String, Long> latest() throws Exception {
        var latest = new TreeMap<String, Long>();
        for (var record : commissions.readKeyValuesToList()) {
            latest.put(record.key, Commission.getDecoder().decode(record.value).getCommission());
        }
        return latest;
    }
}
