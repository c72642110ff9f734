import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/** Sends a MAIL command over STARTTLS: java Sender.java insecure|verify HOST PORT. */
class Sender {
    public static void main(String[] args) throws Exception {
        Socket clear = new Socket(args[1], Integer.parseInt(args[2]));
        BufferedReader in = new BufferedReader(new InputStreamReader(clear.getInputStream()));
        in.readLine();
        clear.getOutputStream().write("STARTTLS\r\n".getBytes());
        in.readLine();

        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, args[0].equals("insecure") ? new TrustManager[] {new Anyone()} : null, null);
        SSLSocket secure = (SSLSocket) context.getSocketFactory().createSocket(clear, "localhost", clear.getPort(), true);
        in = new BufferedReader(new InputStreamReader(secure.getInputStream()));
        for (String command : new String[] {"EHLO sender.test", "MAIL FROM:<sender@sender.test>", "QUIT"}) {
            secure.getOutputStream().write((command + "\r\n").getBytes());
            in.readLine();
        }
        secure.close();
    }

    /** Takes every certificate, as most senders of mail do. */
    private static class Anyone implements X509TrustManager {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
