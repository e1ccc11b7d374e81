package prefect_cassandra.jndi.rmi;

import java.net.URI;
import java.rmi.NotBoundException;
import java.rmi.RemoteException;
import java.rmi.registry.LocateRegistry;
import java.util.Hashtable;
import javax.naming.Context;
import javax.naming.InitialContext;
import javax.naming.Name;
import javax.naming.NamingException;
import javax.naming.ServiceUnavailableException;
import javax.naming.spi.ObjectFactory;

/**
 * Looks up rmi://host:port/name, which is all that JMX clients such as nodetool ask of the module
 * jdk.naming.rmi. Runtimes made with jlink often lack that module.
 *
 * JNDI finds this class by its name: -Djava.naming.factory.url.pkgs=prefect_cassandra.jndi
 */
public final class rmiURLContextFactory implements ObjectFactory {
    private static final int REGISTRY_PORT = 1099;

    @Override
    public Object getObjectInstance(Object object, Name name, Context context, Hashtable<?, ?> environment)
            throws NamingException {
        return new RegistryContext();
    }

    private static final class RegistryContext extends InitialContext {
        RegistryContext() throws NamingException {
            super(true);
        }

        @Override
        public Object lookup(String url) throws NamingException {
            URI uri = URI.create(url);
            int port = uri.getPort() < 0 ? REGISTRY_PORT : uri.getPort();
            try {
                return LocateRegistry.getRegistry(uri.getHost(), port).lookup(uri.getPath().substring(1));
            } catch (RemoteException | NotBoundException cause) {
                NamingException error = new ServiceUnavailableException(cause.getMessage());
                error.setRootCause(cause);
                throw error;
            }
        }
    }
}
