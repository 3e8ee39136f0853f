import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.Permission;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Runs the main methods of command-line tools one after another in one JVM, so that a test suite does not pay a JVM start
 * per tool. Each run has its own standard input, output and error, and its own end: System.exit records the code, runs the
 * shutdown hooks that the tool added (the console producer flushes there) and stops the tool's thread for good.
 *
 * Requests on standard input and answers on standard output are length-prefixed, big endian:
 *   request  = timeout in ms (int), count (int), that many strings (main class first, then arguments), standard input (bytes)
 *   answer   = exit code (int; -1: not finished in time, the JVM should be thrown away), standard output, standard error (bytes)
 */
@SuppressWarnings("removal")
public final class ToolServer {
    /** Thrown in a tool's thread once its run is over; never seen by anyone. */
    private static final class Finished extends Error {
        Finished() { super(null, null, false, false); }
    }

    /** Collects what a tool prints until the run is over; what comes later belongs to nobody. */
    private static final class Capture extends OutputStream {
        private ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private boolean open;

        @Override public synchronized void write(int b) { if (open) bytes.write(b); }
        @Override public synchronized void write(byte[] b, int off, int len) { if (open) bytes.write(b, off, len); }
        synchronized void begin() { bytes.reset(); open = true; }
        synchronized byte[] end() { open = false; return bytes.toByteArray(); }
    }

    /** One run of one tool. */
    private static final class Run {
        final CountDownLatch ended = new CountDownLatch(1);   // main returned, threw, or exit was called
        final CountDownLatch answered = new CountDownLatch(1);
        private Integer code;

        synchronized void end(int exitCode) {
            if (code == null) code = exitCode;
            ended.countDown();
        }
        synchronized int code() { return code; }
    }

    /** The run that a thread, or the thread that started it, belongs to; the server's own threads belong to none. */
    private static final InheritableThreadLocal<Run> RUN = new InheritableThreadLocal<>();

    /** Lets everything through, except the end of the JVM: that ends the run instead. */
    private static final class ExitGuard extends SecurityManager {
        @Override public void checkPermission(Permission permission) { }
        @Override public void checkPermission(Permission permission, Object context) { }
        @Override public void checkExit(int code) {
            Run run = RUN.get();
            if (run == null) return;
            run.end(code);
            try {
                run.answered.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            throw new Finished();
        }
    }

    private static ClassLoader libraries; // clients, Scala, logging: shared by all runs
    private static URL[] programs;        // the jars with the tools' own classes: loaded anew by each run

    /** Takes the folder with the release's jars. */
    public static void main(String[] args) throws Exception {
        DataInputStream requests = new DataInputStream(System.in);
        DataOutputStream answers = new DataOutputStream(System.out);
        Capture out = new Capture();
        Capture err = new Capture();
        System.setOut(new PrintStream(out, true));
        System.setErr(new PrintStream(err, true));
        System.setSecurityManager(new ExitGuard());
        openJars(Paths.get(args[0]));
        while (true) {
            int timeoutMs;
            try {
                timeoutMs = requests.readInt();
            } catch (IOException e) {
                Runtime.getRuntime().halt(0); // the test process is gone
                return;
            }
            String[] line = new String[requests.readInt()];
            for (int i = 0; i < line.length; i++) line[i] = new String(readBytes(requests), "UTF-8");
            byte[] input = readBytes(requests);
            System.setIn(new ByteArrayInputStream(input));
            out.begin();
            err.begin();
            Run run = new Run();
            answers.writeInt(runTool(run, line, timeoutMs));
            writeBytes(answers, out.end());
            writeBytes(answers, err.end());
            answers.flush();
            run.answered.countDown();
        }
    }

    /** Splits the jars: a tool may keep state in static fields, as a process of its own can afford to. */
    private static void openJars(Path folder) throws IOException {
        List<URL> shared = new ArrayList<>();
        List<URL> own = new ArrayList<>();
        try (DirectoryStream<Path> jars = Files.newDirectoryStream(folder, "*.jar")) {
            for (Path jar : jars) {
                String name = jar.getFileName().toString();
                (name.startsWith("kafka_") || name.startsWith("kafka-tools-") ? own : shared).add(jar.toUri().toURL());
            }
        }
        libraries = new URLClassLoader(shared.toArray(new URL[0]), ToolServer.class.getClassLoader());
        programs = own.toArray(new URL[0]);
        Thread.currentThread().setContextClassLoader(libraries);
    }

    private static int runTool(Run run, String[] line, int timeoutMs) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMs);
        Set<Thread> before = new HashSet<>(hooks().keySet());
        Thread tool = new Thread(() -> {
            RUN.set(run);
            ClassLoader fresh = new URLClassLoader(programs, libraries);
            Thread.currentThread().setContextClassLoader(fresh);
            run.end(callMain(fresh, line));
        }, "tool");
        tool.setDaemon(true);
        tool.start();
        if (!run.ended.await(timeoutMs, TimeUnit.MILLISECONDS)) return -1;
        List<Thread> added = new ArrayList<>();
        for (Thread hook : hooks().keySet()) if (!before.contains(hook)) added.add(hook);
        for (Thread hook : added) Runtime.getRuntime().removeShutdownHook(hook);
        for (Thread hook : added) hook.start();
        for (Thread hook : added) {
            hook.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())));
            if (hook.isAlive()) return -1;
        }
        return run.code();
    }

    /** Calls main as the java command does: an exception goes to standard error and makes the exit code 1. */
    private static int callMain(ClassLoader loader, String[] line) {
        String[] args = new String[line.length - 1];
        System.arraycopy(line, 1, args, 0, args.length);
        try {
            Method main = Class.forName(line[0], true, loader).getMethod("main", String[].class);
            main.invoke(null, (Object) args);
            return 0;
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Finished)) e.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            return 1;
        }
    }

    /** The JVM's own table of shutdown hooks; needs --add-opens java.base/java.lang=ALL-UNNAMED. */
    @SuppressWarnings("unchecked")
    private static Map<Thread, Thread> hooks() throws ReflectiveOperationException {
        Class<?> registry = Class.forName("java.lang.ApplicationShutdownHooks");
        Field field = registry.getDeclaredField("hooks");
        field.setAccessible(true);
        synchronized (registry) {
            return new java.util.IdentityHashMap<>((Map<Thread, Thread>) field.get(null));
        }
    }

    private static byte[] readBytes(DataInputStream in) throws IOException {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return bytes;
    }

    private static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes.length);
        out.write(bytes);
    }
}
