import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;

/** Prints topic, partition, committed offset and lag of a group, and its members, as Kafka's own client sees them. */
class GroupOffsets {
  public static void main(String[] arguments) throws Exception {
    try (var admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
      var group = arguments[1];
      var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
      var latest = offsets.keySet().stream().collect(Collectors.toMap(Function.identity(), at -> OffsetSpec.latest()));
      var ends = admin.listOffsets(latest).all().get();
      offsets.forEach((at, offset) -> System.out.println(String.join(" ", at.topic(), "" + at.partition(),
          "" + offset.offset(), "" + (ends.get(at).offset() - offset.offset()))));
      var description = admin.describeClassicGroups(java.util.List.of(group)).all().get().get(group);
      System.out.println("members " + description.members().size() + " " + description.state());
    }
  }
}
