package promoter.commissions;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.errors.TopicExistsException;

/** The topic of results. Streams makes topics for its stores, but never one that is written for others. */
final class Topics {
    /** Creates it where it is missing, with as many partitions as the topic of orders has. */
    static void createResults(Properties settings) throws ExecutionException, InterruptedException {
        String orders = CommissionsApp.required(settings, "orders.topic");
        String results = CommissionsApp.required(settings, "commissions.topic");
        try (Admin admin = Admin.create(settings)) {
            int partitions = admin.describeTopics(List.of(orders)).topicNameValues().get(orders).get().partitions().size();
            var topic = new NewTopic(results, Optional.of(partitions), Optional.empty())
                .configs(Map.of(TopicConfig.CLEANUP_POLICY_CONFIG, TopicConfig.CLEANUP_POLICY_COMPACT));
            admin.createTopics(List.of(topic)).all().get();
        } catch (ExecutionException error) {
            if (!(error.getCause() instanceof TopicExistsException)) {
                throw error;
            }
        }
    }

    private Topics() {}
}
