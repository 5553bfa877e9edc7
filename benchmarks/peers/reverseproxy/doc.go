// Command reverseproxy passes requests on to an upstream with httputil.ReverseProxy, on net/http's own server and client. It
// runs until a signal ends it.
package main
