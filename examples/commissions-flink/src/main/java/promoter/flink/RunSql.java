package promoter.flink;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableEnvironment;

/** Runs files of Flink SQL in a cluster within this process, as Flink's own client would on a real one. It adds nothing to them. */
public final class RunSql {
    private static final String USAGE = """
        usage: java -jar sql.jar [OPTION]... FILE.sql...

        Runs the statements of the files one after the other; all their INSERTs are one job, which comes last and runs until the
        process is ended. What SELECT, EXPLAIN, SHOW and DESCRIBE answer is printed. Started again with the same checkpoints, it goes
        on where it was. Statements end with a semicolon at the end of a line; comments have lines of their own.

          --checkpoints DIRECTORY   where they are kept, and what it goes on from
          --bootstrap HOST:PORT     stands for localhost:9092 in all files
          --registry URL            stands for http://localhost:8081 in all files
          --set KEY=VALUE           a setting of Flink, above those of the files
        """;
    private static final Pattern SET = Pattern.compile("SET\\s+'([^']+)'\\s*=\\s*'([^']*)'", Pattern.CASE_INSENSITIVE);

    public static void main(String[] arguments) throws Exception {
        var settings = new Configuration();
        var files = new ArrayList<String>();
        String bootstrap = "localhost:9092";
        String registry = "http://localhost:8081";
        Path checkpoints = null;
        for (int at = 0; at < arguments.length; at++) {
            String argument = arguments[at];
            if (!argument.startsWith("--")) {
                files.add(Files.readString(Path.of(argument)));
                continue;
            }
            if (at + 1 == arguments.length) {
                usage();
            }
            String value = arguments[++at];
            switch (argument) {
                case "--checkpoints" -> checkpoints = Path.of(value).toAbsolutePath();
                case "--bootstrap" -> bootstrap = value;
                case "--registry" -> registry = value;
                case "--set" -> settings.setString(value.split("=", 2)[0], value.split("=", 2)[1]);
                default -> usage();
            }
        }
        if (files.isEmpty()) {
            usage();
        }
        var statements = new ArrayList<String>();
        for (String file : files) {
            String text = file.replace("localhost:9092", bootstrap).replace("http://localhost:8081", registry);
            statements.addAll(statementsOf(text, settings));
        }
        if (checkpoints != null) {
            settings.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
            latest(checkpoints).ifPresent(found -> settings.setString("execution.state-recovery.path", found.toUri().toString()));
        }
        run(statements, settings);
    }

    private static void usage() {
        System.err.print(USAGE);
        System.exit(2);
    }

    /** Those of a file, without its comments; what it SETs becomes a setting, unless that has a value already. */
    private static List<String> statementsOf(String text, Configuration settings) {
        var statements = new ArrayList<String>();
        String bare = Pattern.compile("^\\s*--.*$", Pattern.MULTILINE).matcher(text).replaceAll("");
        for (String part : bare.split(";\\s*(\\n|$)")) {
            String statement = part.strip();
            Matcher set = SET.matcher(statement);
            if (set.matches()) {
                if (!settings.containsKey(set.group(1))) {
                    settings.setString(set.group(1), set.group(2));
                }
            } else if (!statement.isEmpty()) {
                statements.add(statement);
            }
        }
        return statements;
    }

    /** The newest checkpoint that is whole: the file of that name is written last. Each run of a job has a directory of its own. */
    private static Optional<Path> latest(Path checkpoints) throws IOException {
        if (!Files.isDirectory(checkpoints)) {
            return Optional.empty();
        }
        try (Stream<Path> found = Files.find(checkpoints, 3, (path, about) -> path.endsWith("_metadata"))) {
            return found.max(Comparator.comparing(path -> path.toFile().lastModified())).map(Path::getParent);
        }
    }

    private static void run(List<String> statements, Configuration settings) throws Exception {
        TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        StatementSet inserts = tables.createStatementSet();
        boolean inserting = false;
        for (String statement : statements) {
            String first = statement.split("\\s+", 2)[0].toUpperCase();
            switch (first) {
                case "INSERT" -> {
                    inserts.addInsertSql(statement);
                    inserting = true;
                }
                case "SELECT", "EXPLAIN", "SHOW", "DESCRIBE" -> tables.executeSql(statement).print();
                default -> tables.executeSql(statement);
            }
        }
        if (inserting) {
            System.err.println("the job begins, " + settings.getString("execution.state-recovery.path", "from nothing"));
            inserts.execute().await();
        }
    }

    private RunSql() {}
}
