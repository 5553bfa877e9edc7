package channel_test

import (
	"fmt"

	"moonbridge/handler/channel"
)

// The last two messages of each channel of news are kept, for subscribers that come back.
func Example() {
	hub := channel.New(channel.Options{})
	defer hub.Close()
	if err := hub.SetRules([]channel.Rule{{Pattern: "news/*", Messages: 2}}); err != nil {
		panic(err)
	}
	for _, text := range []string{"one", "two", "three"} {
		if _, err := hub.Publish("news/moon", channel.Post{Data: text}); err != nil {
			panic(err)
		}
	}
	list, _ := hub.History("news/moon", "", 10)
	for _, m := range list {
		fmt.Println(m.Data)
	}
	// Those after one that a client has. complete says that none between them is missing.
	list, complete := hub.History("news/moon", list[0].Position(), 10)
	fmt.Println(len(list), complete)
	// Output:
	// two
	// three
	// 1 true
}
