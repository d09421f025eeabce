package promoter.commissions;

import java.time.LocalDate;
import java.time.ZoneOffset;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import promoter.Order;

/**
 * An order earns its commission on the Beijing day on which it was paid, until it is refunded.
 *
 * <p>There are no windows: the day is a part of a key, so an order or a refund finds its day however late it comes. And no
 * order of events is assumed, since none is promised: a refund may come before its payment, and several refunds of one order
 * take back its commission once.
 *
 * <p>Both stores, the result and the offset of what was read change in one transaction (exactly_once_v2). With less than that
 * a crash could leave an order marked as earned whose day does not have it, and nothing would ever mend that.
 */
final class CommissionProcessor implements Processor<String, Order, String, Commission> {
    private static final ZoneOffset BEIJING = ZoneOffset.ofHours(8);

    private final long basisPoints;
    private ProcessorContext<String, Commission> context;
    private KeyValueStore<String, Long> orders;
    private KeyValueStore<String, Long> days;

    CommissionProcessor(long basisPoints) {
        this.basisPoints = basisPoints;
    }

    @Override
    public void init(ProcessorContext<String, Commission> context) {
        this.context = context;
        orders = context.getStateStore(CommissionTopology.ORDERS);
        days = context.getStateStore(CommissionTopology.DAYS);
    }

    @Override
    public void process(Record<String, Order> event) {
        Order order = event.value();
        String key = event.key() + '/' + order.getMchId() + '/' + order.getTradeNo();
        long change = switch (order.getStatus()) {
            case "PAID" -> pay(key, order.getPaidAmount());
            case "REFUNDED" -> refund(key);
            // UNKNOWN, or a word that is added one day: neither earns nor takes back.
            default -> 0;
        };
        if (change != 0) {
            correct(event, LocalDate.ofInstant(order.getPaidTime(), BEIJING), change);
        }
    }

    /** What the order adds to its day, in fen: nothing if it is known already, as paid or as refunded. */
    private long pay(String order, long amount) {
        long commission = Math.multiplyExact(amount, basisPoints) / 10_000;
        return orders.putIfAbsent(order, commission) == null ? commission : 0;
    }

    /** What the refund takes from the order's day: exactly what the payment has added, so nothing the second time. */
    private long refund(String order) {
        Long commission = orders.get(order);
        orders.put(order, 0L);
        return commission == null ? 0 : -commission;
    }

    private void correct(Record<String, Order> event, LocalDate day, long change) {
        String key = event.key() + '/' + day;
        Long before = days.get(key);
        long commission = (before == null ? 0 : before) + change;
        days.put(key, commission);
        Order order = event.value();
        var result = new Commission(order.getAppId(), order.getPromoterOpenid(), day, commission);
        context.forward(new Record<>(key, result, event.timestamp()));
    }
}
